"""Run tests in a box that holds a cleaned tree, and read the outcome out of what they report.

Three ways: questions whose answers stay here, ``unittest`` methods in child processes, or a command
of the task's own. A box that fails raises; whatever the code under test does is an outcome.
"""

from __future__ import annotations

import ast
import json
import secrets
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentsd.boxes import ExecResult
from agentsd.errors import InfraError
from agentsd.interfaces import Sandbox
from agentsd.types import Outcome
from agentsd_envs.repo.answers import Quiz, is_right, read_answers
from agentsd_envs.repo.rows import REPORT
from agentsd_envs.repo.trees import Files

Verdict = Callable[[Sandbox], Coroutine[None, None, Outcome]]
"""Judges the tree in a box."""

TEST_S = 10.0
"""Deadline of one test of a generated task, or of one ``unittest`` method."""
NO_PROGRAM = (126, 127)
MAX_REPORT_BYTES = 8 * 2**20
SHOWN = 3
"""How many failing tests a reason names."""


def runner_source() -> str:
    """The program that runs tests in child processes, as text."""
    return (Path(__file__).parent / "inbox" / "runner.py").read_text(encoding="utf-8")


def by_answers(split: Quiz, timeout_s: float) -> Verdict:
    """All questions of a quiz must be answered rightly."""

    def is_passed(test: str, said: Mapping[str, Any]) -> bool:
        return said.get("error") is None and is_right(split.expected[test], said.get("answers"))

    job = {"source": split.source, "tests": list(split.expected)}
    return _by_runner(job, is_passed, timeout_s)


def by_unittest(tests: Sequence[str], timeout_s: float) -> Verdict:
    """All tests, each ``module:Class.method``, must pass.

    The assertions run in the process of the code under test: code that is written to deceive this
    runner and looks for its frames can. ``by_answers`` has no such gap.
    """

    def is_passed(test: str, said: Mapping[str, Any]) -> bool:
        return said.get("error") is None and said.get("passed") is True

    return _by_runner({"tests": list(tests)}, is_passed, timeout_s)


def by_command(command: Sequence[str], must_pass: Sequence[str], timeout_s: float) -> Verdict:
    """The command ends with 0 and its JUnit report, where it writes one, holds no failure."""
    has_report = any(REPORT in word for word in command)

    async def verdict(box: Sandbox) -> Outcome:
        # Code under test that ends the process early leaves no report, and cannot have written
        # one before it ran: the name is drawn now.
        report = f"/tmp/report-{secrets.token_hex(8)}.xml"
        argv = [word.replace(REPORT, report) for word in command]
        result = await box.exec(argv, timeout_s=timeout_s)
        if result.is_timeout:
            return Outcome(0.0, f"timeout: the tests took more than {timeout_s:g} s")
        if result.exit_code in NO_PROGRAM:
            raise InfraError(f"the test command cannot be run in the box: {_last_line(result)}")
        if result.exit_code:
            return Outcome(0.0, f"tests failed: exit code {result.exit_code}")
        return await _reported(box, report, must_pass) if has_report else Outcome(1.0)

    return verdict


def unittest_methods(files: Files) -> list[str]:
    """The test methods that are written out in these files, as ``module:Class.method``.

    Tests that the file itself skips, inherits or makes at run time are not found. Files that are
    not Python are passed over.
    """
    found: list[str] = []
    for path, file in sorted(files.items()):
        if path.endswith(".py") and file.target is None:
            module = path.removesuffix(".py").replace("/", ".")
            found += [f"{module}:{name}" for name in _methods(file.data)]
    return found


def _methods(source: bytes) -> list[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    return [
        f"{case.name}.{method.name}"
        for case in tree.body
        if isinstance(case, ast.ClassDef) and not _is_skipped(case)
        for method in case.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
        and method.name.startswith("test")
        and not _is_skipped(method)
    ]


def _is_skipped(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    written = [ast.unparse(each).rpartition("unittest.")[2] for each in node.decorator_list]
    return any(each.startswith(("skip", "expectedFailure")) for each in written)


def _by_runner(
    job: Mapping[str, Any], is_passed: Callable[[str, Mapping[str, Any]], bool], timeout_s: float
) -> Verdict:
    text = json.dumps({**job, "path": "/work", "seconds": TEST_S}).encode()

    async def verdict(box: Sandbox) -> Outcome:
        command = ["python3", "-I", "-S", "-c", runner_source()]
        result = await box.exec(command, timeout_s=timeout_s, stdin=text)
        if result.is_timeout:
            return Outcome(0.0, f"timeout: the tests took more than {timeout_s:g} s")
        ready, *lines = result.stdout.splitlines() or [b""]
        if ready != b"ready":
            raise InfraError(f"the box cannot run tests with python3: {_last_line(result)}")
        if result.exit_code:
            return Outcome(0.0, "the tests did not run to their end")
        return _judged(job["tests"], lines, is_passed)

    return verdict


def _judged(
    tests: Sequence[str],
    lines: Sequence[bytes],
    is_passed: Callable[[str, Mapping[str, Any]], bool],
) -> Outcome:
    """Every test must have been reported once, and passed."""
    reports = [read_answers(line) for line in lines]
    if late := next((each for each in reports if each.get("problem") == "timeout"), None):
        return Outcome(0.0, f"timeout: {late.get('test')} took more than {TEST_S:g} s")
    if [report.get("test") for report in reports] != list(tests):
        return Outcome(0.0, "the tests did not run to their end")
    said = [(report["test"], report.get("said")) for report in reports]
    failed = [test for test, each in said if not (isinstance(each, dict) and is_passed(test, each))]
    return _outcome(failed, len(tests))


async def _reported(box: Sandbox, report: str, must_pass: Sequence[str]) -> Outcome:
    """What the JUnit report says; without one the tests did not come to their end."""
    try:
        text = await box.read(report)
    except OSError:
        return Outcome(0.0, "the tests did not run to their end: there is no report")
    # Entities are how a small report becomes a large one; no test tool writes any.
    if len(text) > MAX_REPORT_BYTES or b"<!" in text.replace(b"<![CDATA[", b""):
        return Outcome(0.0, "the report of the tests cannot be read")
    try:
        cases = list(ElementTree.fromstring(text).iter("testcase"))
    except ElementTree.ParseError:
        return Outcome(0.0, "the report of the tests cannot be read")
    names = [f"{case.get('classname', '')}.{case.get('name', '')}".strip(".") for case in cases]
    bad = {
        name
        for name, case in zip(names, cases, strict=True)
        if case.find("failure") is not None or case.find("error") is not None
    }
    skipped = {
        name for name, case in zip(names, cases, strict=True) if case.find("skipped") is not None
    }
    missing = [name for name in must_pass if name not in names or name in skipped]
    if not set(names) - bad - skipped:
        return Outcome(0.0, "no test passed")
    return _outcome([*sorted(bad), *missing], len(names))


def _outcome(failed: Sequence[str], total: int) -> Outcome:
    if not failed:
        return Outcome(1.0)
    more = f" and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
    return Outcome(0.0, f"{len(failed)} of {total} tests failed: {', '.join(failed[:SHOWN])}{more}")


def _last_line(result: ExecResult) -> str:
    lines = result.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else f"exit code {result.exit_code}"
