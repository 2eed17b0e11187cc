"""The ``<tool_call>`` ... ``</tool_call>`` wrapper that Hermes, Qwen and GLM models share.

Knows nothing of what is written inside.
"""

from __future__ import annotations

from agentsd.toolcalls.draft import Problem
from agentsd.toolcalls.jsonscan import skip_space

OPEN = "<tool_call>"
CLOSE = "</tool_call>"


def enter(text: str, opened: int) -> tuple[int, int, tuple[Problem, ...]]:
    """Step behind the opening markers at ``opened``: the body's start, how many, what is wrong."""
    body, depth = opened + len(OPEN), 1
    problems: tuple[Problem, ...] = ()
    while text.startswith(OPEN, again := skip_space(text, body)):
        problems = problems or (Problem(again, f"repeated {OPEN}"),)
        body, depth = again + len(OPEN), depth + 1
    return body, depth, problems


def end_of_body(text: str, at: int) -> int:
    """Where the body must end: at the next marker, opening or closing, or with the text."""
    return min(
        place if place >= 0 else len(text) for place in (text.find(OPEN, at), text.find(CLOSE, at))
    )


def leave(text: str, end: int, depth: int) -> tuple[int, tuple[Problem, ...]]:
    """Step behind up to ``depth`` closing markers at ``end``: the call's stop, what is wrong."""
    if not text.startswith(CLOSE, end):
        return end, (Problem(end, f"no {CLOSE}"),)
    stop = end + len(CLOSE)
    while depth > 1 and text.startswith(CLOSE, again := skip_space(text, stop)):
        stop, depth = again + len(CLOSE), depth - 1
    return stop, ()
