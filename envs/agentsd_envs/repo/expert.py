"""How every repair task is solved: one edit for each mistake. Knows nothing of policies."""

from __future__ import annotations

import json
from collections.abc import Mapping

from agentsd.types import Task, ToolCall
from agentsd_envs.repo.mutations import Mutation
from agentsd_envs.repo.repairs import broken


def solution(task: Task) -> list[ToolCall]:
    """Calls that repair the program of a task, with text that stands once when each is made."""
    repair = broken(task.data)
    modules = repair.modules()
    calls: list[ToolCall] = []
    # From the first mistake on: what stands before one is then as it was in the original.
    for edit in sorted(repair.repair.edits, key=lambda each: each.start):
        old, new = _lines_around(modules[edit.path], edit.mutation)
        modules[edit.path] = modules[edit.path].replace(old, new)
        arguments = {"path": edit.path, "old": old, "new": new}
        calls.append(_call(len(calls), "edit_file", arguments))
    return calls


def _lines_around(text: str, mistake: Mutation) -> tuple[str, str]:
    """The lines of a mistake, with as many above as make them stand once, and their repair."""
    stop = mistake.start + len(mistake.new)
    start = text.rfind("\n", 0, mistake.start) + 1
    end = text.find("\n", stop)
    end = len(text) if end < 0 else end
    while text.count(text[start:end]) > 1 and start > 0:
        start = text.rfind("\n", 0, start - 1) + 1
    return text[start:end], text[start : mistake.start] + mistake.old + text[stop:end]


def _call(index: int, name: str, arguments: Mapping[str, str]) -> ToolCall:
    return ToolCall(f"expert-{index}", name, json.dumps(arguments), arguments)
