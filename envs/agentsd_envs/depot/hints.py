"""The words of the depot's hints: the rule that is about to be broken, never the right value.

Knows nothing of trajectories, worlds or models.
"""

from __future__ import annotations

WHY = {
    "open_bin": "a bin is worked on only while it is open",
    "close_bin": "a bin is closed when its jobs are done",
    "return_key": "a key goes back when its bins are closed",
}


def forgotten_step(tool: str) -> str:
    """T08, for a step that is left out.

    >>> forgotten_step("close_bin")
    'Call close_bin before going on: a bin is closed when its jobs are done.'
    """
    return f"Call {tool} before going on: {WHY[tool]}."


def stale_value() -> str:
    """T06, for a value that was read before a change."""
    return "What was read before a change is out of date; read it again before using it."


def wrong_order() -> str:
    """T08, for two jobs that change places."""
    return "Do the jobs on a bin in the order in which the user names them."


def early_answer() -> str:
    """T16."""
    return "Answer only when every job is done, every bin is closed and no key is out."
