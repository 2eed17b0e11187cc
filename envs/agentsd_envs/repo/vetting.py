"""Find out what a mistake breaks, and build the table of repair tasks.

``python -m agentsd_envs.repo.vetting`` writes the table anew; the same sources give the same table.
Programs run without a sandbox here, for they and their mistakes are our own, but with a deadline
and little memory. Knows nothing of environments.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentsd_envs.repo.answers import Quiz, is_right, quiz, read_answers
from agentsd_envs.repo.catalog import Project, projects
from agentsd_envs.repo.mutations import mutations
from agentsd_envs.repo.repairs import TABLE, Edit, Level, Repair, broken_modules
from agentsd_envs.repo.verdicts import runner_source

CANDIDATES = 72
"""Mistakes of one program that are looked at."""
PER_LEVEL = {1: 10, 2: 10, 3: 8}
"""Tasks of one program."""
MOST_FAILING = 0.6
"""A mistake that breaks more of the tests than this is too easy to see."""
TEST_S, ALL_S = 3.0, 60.0
Found = tuple[list[Edit], tuple[str, ...]]
"""Mistakes, and the tests that fail with all of them."""
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))\n"


@dataclass(frozen=True, slots=True)
class Vetted:
    """What the tests say of some sources."""

    failing: tuple[str, ...]
    is_bounded: bool
    """Whether no test hangs or runs out of memory."""


async def vet(modules: Mapping[str, str], split: Quiz) -> Vetted:
    """Run the tests of a program on these sources."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in modules.items():
            target = Path(folder, path)
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
        job = {"path": folder, "source": split.source, "tests": list(split.expected)}
        output = await _run(json.dumps(job | {"seconds": TEST_S}).encode())
    reports = map(read_answers, output.splitlines()[1:])
    said = {report.get("test"): report for report in reports}
    passed = [test for test in split.expected if _is_passed(split, test, said.get(test, {}))]
    errors = [(report.get("said") or {}).get("error") for report in said.values()]
    is_bounded = len(said) == len(split.expected) and "MemoryError" not in errors
    has_ended = all(report.get("problem") is None for report in said.values())
    failing = tuple(test for test in split.expected if test not in passed)
    return Vetted(failing, is_bounded and has_ended)


def _is_passed(split: Quiz, test: str, report: Mapping[str, object]) -> bool:
    said = report.get("said")
    if not isinstance(said, dict) or said.get("error") is not None:
        return False
    return is_right(split.expected[test], said.get("answers"))


async def _run(job: bytes) -> bytes:
    """The report of a runner of its own, ended at the deadline."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-c", LIMITED + runner_source()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(ALL_S):
            output, _ = await process.communicate(job)
            return output
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def repairs_of(project: Project) -> list[Repair]:
    """The rows of one program, the same every time."""
    rng = random.Random(f"vetting/{project.name}")
    split = quiz(project.tests)
    singles: list[tuple[Edit, tuple[str, ...]]] = []
    for edit in candidates(project, rng)[:CANDIDATES]:
        vetted = await vet(broken_modules(project, [edit]), split)
        if vetted.is_bounded and 1 <= len(vetted.failing) <= MOST_FAILING * len(split.expected):
            singles.append((edit, vetted.failing))
    several = [each for each in singles if len(each[1]) > 1]
    shown = several[: PER_LEVEL[1]]
    reported = [each for each in singles if each not in shown][: PER_LEVEL[2]]
    pairs = await _pairs(project, split, singles, rng)
    return [
        *_rows(project, 1, [([edit], failing) for edit, failing in shown]),
        *_rows(project, 2, [([edit], failing) for edit, failing in reported]),
        *_rows(project, 3, pairs),
    ]


def _rows(project: Project, level: Level, found: Sequence[Found]) -> list[Repair]:
    return [
        Repair(
            id=f"{project.name}/{level}/{number:02}",
            project=project.name,
            level=level,
            edits=tuple(edits),
            failing=failing,
        )
        for number, (edits, failing) in enumerate(found, start=1)
    ]


def candidates(project: Project, rng: random.Random) -> list[Edit]:
    """All mistakes of a program in random order, the operators taking turns."""
    by_operator: dict[str, list[Edit]] = defaultdict(list)
    for path, text in project.modules.items():
        for each in mutations(text):
            edit = Edit(
                path=path,
                operator=each.operator,
                function=each.function,
                start=each.start,
                old=each.old,
                new=each.new,
            )
            by_operator[each.operator].append(edit)
    for edits in by_operator.values():
        rng.shuffle(edits)
    longest = max(map(len, by_operator.values()))
    turns = [[e[at] for e in by_operator.values() if at < len(e)] for at in range(longest)]
    return [edit for turn in turns for edit in rng.sample(turn, len(turn))]


async def _pairs(
    project: Project,
    split: Quiz,
    singles: Sequence[tuple[Edit, tuple[str, ...]]],
    rng: random.Random,
) -> list[Found]:
    """Two mistakes in different functions; each breaks a test that the other alone does not."""
    found: list[Found] = []
    drawn = [rng.sample(singles, 2) for _ in range(20 * PER_LEVEL[3])]
    for (one, fails), (other, also_fails) in drawn:
        own = [test for test in fails if test not in also_fails]
        others = [test for test in also_fails if test not in fails]
        edits = [one, other]
        if one.function == other.function or not own or not others or _overlap(one, other):
            continue
        if any(set(map(id, edits)) == set(map(id, pair)) for pair, _ in found):
            continue
        vetted = await vet(broken_modules(project, edits), split)
        first = (own[0], others[0])
        if vetted.is_bounded and set(first) <= set(vetted.failing):
            rest = tuple(test for test in vetted.failing if test not in first)
            found.append((edits, first + rest))
        if len(found) == PER_LEVEL[3]:
            break
    return found


def _overlap(one: Edit, other: Edit) -> bool:
    """Whether the text of one mistake lies in that of the other, as in nested functions."""
    first, second = sorted([one, other], key=lambda each: each.start)
    return one.path == other.path and first.start + len(first.old) > second.start


async def build() -> list[Repair]:
    """The rows of all programs, two programs at a time."""
    room = asyncio.Semaphore(2)

    async def one(project: Project) -> list[Repair]:
        async with room:
            return await repairs_of(project)

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one(project)) for project in projects().values()]
    return [row for task in running for row in task.result()]


if __name__ == "__main__":
    lines = [row.model_dump_json() + "\n" for row in asyncio.run(build())]
    TABLE.write_text("".join(lines), encoding="utf-8")
