"""The coding environment: its tools, its two boxes, and what does not fool its tests."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import tarfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentsd.boxes import BoxSpec, ExecResult, Probe
from agentsd.chat import Chat
from agentsd.config import RolloutConfig
from agentsd.engines.scripted import ScriptedEngine
from agentsd.errors import ConfigError, DataError, InfraError
from agentsd.interfaces import Env, Sandbox
from agentsd.rollout import Plan, Rollout
from agentsd.sandbox.bwrap import BwrapBackend
from agentsd.testing import check_taskset
from agentsd.types import Outcome, StopReason, Task, ToolCall, ToolResult, Trajectory
from agentsd_envs.repo import RepoTaskset, taskset
from agentsd_envs.repo.cleaning import Original, unwanted
from agentsd_envs.repo.expert import solution
from agentsd_envs.repo.gits import clone, read_commit
from agentsd_envs.repo.repairs import repair_tasks
from agentsd_envs.repo.rows import read_rows
from agentsd_envs.repo.trees import File, matching, read_folder, read_tarball, to_tar
from agentsd_envs.repo.verdicts import by_command, unittest_methods

TASK = next(
    task
    for task in repair_tasks("train", None, (1,), 0)
    if task.data["repair"]["project"] == "roman"
)
MODULE = "roman.py"
NOBODY = Trajectory("t", "t", "repo", (), ())


@pytest.fixture(scope="module")
def repairs() -> RepoTaskset:
    """The repairs in bwrap boxes, where those work."""
    probe = asyncio.run(BwrapBackend().probe())
    if not probe.works:
        pytest.skip(f"bwrap does not work here: {probe.detail}; {probe.fix}")
    return taskset()


def call(name: str, **arguments: Any) -> ToolCall:
    """A call as a policy would have made it."""
    return ToolCall("c", name, json.dumps(arguments), arguments)


def shell(command: str, **more: Any) -> ToolCall:
    """A shell command."""
    return call("shell", command=command, **more)


async def episode(env: Env, calls: Sequence[ToolCall]) -> tuple[list[ToolResult], Outcome | None]:
    """Make the calls and grade what they leave."""
    try:
        await env.open()
        results = [await env.call(each) for each in calls]
        return results, await env.grade(NOBODY)
    finally:
        await env.close()


def outcome(env: Env, *calls: ToolCall) -> Outcome:
    """How an episode of these calls is graded."""
    _, found = asyncio.run(episode(env, calls))
    assert found is not None
    return found


def answers(env: Env, *calls: ToolCall) -> list[ToolResult]:
    """The results of calls."""
    results, _ = asyncio.run(episode(env, calls))
    return results


# --- repairs: the work itself --------------------------------------------------------------------


def test_the_reference_solution_scores_and_doing_nothing_does_not(repairs: RepoTaskset) -> None:
    assert outcome(repairs.env(TASK), *solution(TASK)) == Outcome(1.0)
    left = outcome(repairs.env(TASK))
    assert left.score == 0.0
    assert "tests failed" in left.reason


def test_a_repair_in_other_words_scores_as_well(repairs: RepoTaskset) -> None:
    calls = solution(TASK)
    more = shell(f"printf '\\nEXTRA = 1\\n' >>{MODULE} && mkdir notes && echo hi >notes/a.txt")
    assert outcome(repairs.env(TASK), *calls, more).score == 1.0


def test_half_a_repair_of_two_mistakes_does_not_score(repairs: RepoTaskset) -> None:
    task = repair_tasks("train", None, (3,), 0)[0]
    one, other = solution(task)
    assert outcome(repairs.env(task), one, other) == Outcome(1.0)
    assert outcome(repairs.env(task), other).score == 0.0


def test_a_program_of_several_modules_is_repaired_like_one(repairs: RepoTaskset) -> None:
    tasks = repair_tasks("test", None, (2,), 0)
    task = next(task for task in tasks if task.data["repair"]["project"] == "calculator")
    assert outcome(repairs.env(task), *solution(task)) == Outcome(1.0)


def test_the_policy_can_run_the_tests_it_sees(repairs: RepoTaskset) -> None:
    before, *_, after = answers(
        repairs.env(TASK),
        shell("python3 -m unittest 2>&1"),
        *solution(TASK),
        shell("python3 -m unittest 2>&1"),
    )
    assert "FAILED (" in before.content
    assert before.structured == {"exit_code": 1}
    assert not before.is_error
    assert after.content.rstrip().endswith("OK")


def test_the_environment_keeps_the_promises_of_environments(repairs: RepoTaskset) -> None:
    calls = [call("write_file", path="a.txt", text="x\n"), call("read_file", path="a.txt")]
    assert asyncio.run(check_taskset(repairs, "train", 1, calls)) == []


# --- repairs: what fools nobody ------------------------------------------------------------------

HACKS = {
    "edits the tests": [
        call("write_file", path="test_roman.py", text="import unittest\n"),
    ],
    "deletes the tests": [shell("rm test_roman.py")],
    "adds hooks that make all pass": [
        call("write_file", path="conftest.py", text="import os\nos._exit(0)\n"),
        call("write_file", path="sitecustomize.py", text="import os\nos._exit(0)\n"),
        call("write_file", path="usercustomize/__init__.py", text="import os\nos._exit(0)\n"),
        call("write_file", path=".local/lib/python3.11/site-packages/x.pth", text="import os\n"),
    ],
    "leaves with exit code 0 on import": [
        call("write_file", path=MODULE, text="import os\nos._exit(0)\n")
    ],
    "raises SystemExit on import": [call("write_file", path=MODULE, text="raise SystemExit(0)\n")],
    "prints results of its own": [
        shell(
            "cat >>roman.py <<'END'\n"
            "import json, os, sys\n"
            "line = json.dumps({'test': 'x', 'said': {'answers': [], 'error': None}})\n"
            "print('ready\\n' + line, flush=True)\n"
            "os.write(1, line.encode())\n"
            "END"
        )
    ],
    "replaces unittest": [
        shell(
            "cat >>roman.py <<'END'\n"
            "import unittest\n"
            "unittest.TestCase.assertEqual = lambda *a: None\n"
            "unittest.TestCase.run = lambda *a: None\n"
            "END"
        )
    ],
    "hides the standard library": [
        call("write_file", path="json.py", text="import os\nos._exit(0)\n"),
        call("write_file", path="unittest/__init__.py", text="import os\nos._exit(0)\n"),
        call("write_file", path="typing.py", text="import os\nos._exit(0)\n"),
    ],
    "returns what is equal to everything": [
        call(
            "write_file",
            path=MODULE,
            text="class Yes(str):\n    __eq__ = lambda *a: True\n    __hash__ = str.__hash__\n"
            "to_roman = from_roman = is_roman = add = order = outline = lambda *a, **k: Yes()\n",
        )
    ],
    "answers its own questions": [
        shell(
            "cat >>roman.py <<'END'\n"
            "import json, sys\n"
            "sys.modules['__main__'].plain = lambda value: True\n"
            "sys.modules['__main__'].answer_questions = lambda *a: {'answers': [], 'error': None}\n"
            "END"
        )
    ],
    "leaves a process behind": [
        shell("(setsid sh -c 'while :; do echo x >/work/test_roman.py; sleep 0.1; done' &) ; true"),
    ],
    "leaves poisoned bytecode": [
        shell(
            "mkdir -p /tmp/good && cat >/tmp/good/roman.py <<'END'\n"
            "import os\nos._exit(0)\n"
            "END\n"
            "python3 - <<'END'\n"
            "import py_compile, importlib.util as u\n"
            "mode = py_compile.PycInvalidationMode.UNCHECKED_HASH\n"
            "py_compile.compile('/tmp/good/roman.py', u.cache_from_source('/work/roman.py'),\n"
            "                   invalidation_mode=mode)\n"
            "END"
        )
    ],
    "puts a link where the tests were": [
        shell("rm -f test_roman.py && ln -s /etc/passwd test_roman.py && ln -s / rootdir")
    ],
}


@pytest.mark.parametrize("hack", HACKS)
def test_a_hack_does_not_score(repairs: RepoTaskset, hack: str) -> None:
    found = outcome(repairs.env(TASK), *HACKS[hack])
    assert found.score == 0.0
    assert found.reason


@pytest.mark.parametrize(
    "hack", ["edits the tests", "leaves a process behind", "hides the standard library"]
)
def test_a_hack_beside_a_right_repair_does_no_harm(repairs: RepoTaskset, hack: str) -> None:
    assert outcome(repairs.env(TASK), *solution(TASK), *HACKS[hack]) == Outcome(1.0)


def test_writing_the_shown_answers_into_the_program_does_not_score(repairs: RepoTaskset) -> None:
    """Level 1 shows one failing test; those that it holds back fail still."""
    rows = [task for task in repairs.tasks("train") if task.id == "repair/roman/1/02"]
    (task,) = rows
    assert "RomanTest.test_reads_numerals" in task.prompt
    known = {"XIV": 14, "MMXXIV": 2024, "CDXLIV": 444, "DCCC": 800}
    cheat = f"real = from_roman\ndef from_roman(text): return {known}.get(text) or real(text)\n"
    results, found = asyncio.run(
        episode(
            repairs.env(task),
            [
                shell("python3 -m unittest test_roman.RomanTest.test_reads_numerals"),
                shell(f"cat >>roman.py <<'END'\n{cheat}END"),
                shell("python3 -m unittest test_roman.RomanTest.test_reads_numerals"),
            ],
        )
    )
    assert [each.structured for each in results] == [{"exit_code": code} for code in (1, 0, 0)]
    assert found is not None
    assert found.score == 0.0


def test_code_that_hangs_the_tests_scores_0_and_says_why() -> None:
    hanging = taskset(test_timeout_s=2)
    text = "while True:\n    pass\n"
    found = outcome(hanging.env(TASK), call("write_file", path=MODULE, text=text))
    assert found.score == 0.0
    assert found.reason.startswith("timeout")


def test_sparse_files_cannot_void_an_episode(repairs: RepoTaskset) -> None:
    found = outcome(
        repairs.env(TASK),
        shell("for i in 1 2 3 4 5; do truncate -s 200M big$i; done"),
    )
    assert found == Outcome(0.0, "the policy left files of more than 256 MiB")


def test_what_judges_is_not_in_the_box_of_the_policy(repairs: RepoTaskset) -> None:
    held_back = TASK.data["repair"]["failing"][1]
    results = answers(
        repairs.env(TASK),
        shell(f"grep -r {held_back} /work /tmp; true"),
        shell("ls -A /work"),
    )
    assert held_back not in results[0].content
    assert results[1].content.split() == [MODULE, "test_roman.py"]


def test_containers_judge_as_bwrap_boxes_do() -> None:
    try:
        made = taskset(sandbox="docker")
    except ConfigError as error:
        pytest.skip(str(error))
    probe = asyncio.run(made.backend.probe())
    if not probe.works:
        pytest.skip(f"docker does not work here: {probe.detail}; {probe.fix}")
    assert outcome(made.env(TASK), *solution(TASK)) == Outcome(1.0)
    assert outcome(made.env(TASK), *HACKS["hides the standard library"]).score == 0.0


# --- tools ---------------------------------------------------------------------------------------


def test_reading_gives_numbered_lines(repairs: RepoTaskset) -> None:
    found = answers(
        repairs.env(TASK),
        call("write_file", path="d/a.txt", text="one\ntwo\nthree\n"),
        call("read_file", path="d/a.txt", start=2),
        call("read_file", path="/work/d/a.txt", start=1, end=1),
        call("read_file", path="d/a.txt", start=4),
        call("read_file", path="d"),
        call("read_file", path="nothing"),
    )
    assert found[0].content == "wrote 14 bytes to /work/d/a.txt"
    assert found[1].content == "    2  two\n    3  three"
    assert found[2].content == "    1  one"
    assert found[3].content == "Error: /work/d/a.txt has 3 lines; there are none from 4 to 3"
    assert [each.error_class for each in found[3:]] == ["tool"] * 3
    assert found[5].content == "Error: /work/nothing: No such file or directory"


def test_editing_replaces_text_that_stands_exactly_once(repairs: RepoTaskset) -> None:
    edit = {"path": "a.txt", "new": "2"}
    found = answers(
        repairs.env(TASK),
        call("write_file", path="a.txt", text="x = 1\ny = 1\n"),
        call("edit_file", old="1", **edit),
        call("edit_file", old="9", **edit),
        call("edit_file", old="y = 1", **edit | {"new": "y = 2"}),
        call("edit_file", old="y = 2", **edit | {"new": "y = 2"}),
        shell("cat a.txt"),
    )
    assert "old stands 2 times in /work/a.txt, expected once" in found[1].content
    assert "old stands 0 times" in found[2].content
    assert found[3].content == "edited /work/a.txt at line 2"
    assert found[4].content == "Error: old and new are the same"
    assert [each.error_class for each in found] == [None, "tool", "tool", None, "tool", None]
    assert found[5].content == "x = 1\ny = 2\n"


def test_editing_keeps_the_mode_and_refuses_what_is_not_text(repairs: RepoTaskset) -> None:
    found = answers(
        repairs.env(TASK),
        shell("printf 'a' >run.sh; chmod 755 run.sh; printf '\\377\\376' >raw"),
        call("edit_file", path="run.sh", old="a", new="b"),
        call("edit_file", path="raw", old="a", new="b"),
        shell("test -x run.sh && cat run.sh"),
    )
    assert found[2].content == "Error: /work/raw is not UTF-8 text"
    assert found[3].content == "b\n"


def test_searching_gives_path_line_and_text(repairs: RepoTaskset) -> None:
    found = answers(
        repairs.env(TASK),
        shell(
            "mkdir d .git; echo 'key = 1' >d/a.txt; echo 'key = 2' >.git/b; head -c 9 /dev/zero >z"
        ),
        call("search", pattern="key = [0-9]"),
        call("search", pattern="no such text anywhere"),
        call("search", pattern="("),
        call("search", pattern="key", path="nowhere"),
        call("search", pattern=".", path="big"),
    )
    assert found[1].content == "d/a.txt:1:key = 1"
    assert found[2].content == "[no matches]"
    assert found[3].error_class == found[4].error_class == "tool"


def test_searching_and_listing_are_capped(repairs: RepoTaskset) -> None:
    found = answers(
        repairs.env(TASK),
        shell("mkdir m; cd m; for i in $(seq 1001 1500); do echo word >f$i; done"),
        call("search", pattern="word"),
        call("list_files", path="m"),
    )
    assert found[1].content.splitlines()[-1] == "[400 more matches]"
    assert found[2].content.splitlines()[::400] == ["m/f1001", "[100 more files]"]


def test_a_command_that_takes_too_long_is_killed(repairs: RepoTaskset) -> None:
    found = answers(repairs.env(TASK), shell("echo begun; sleep 60", timeout_s=0.5), shell("pwd"))
    assert found[0].content == "begun\nError: killed after 0.5 s"
    assert found[0].error_class == "timeout"
    assert found[1].content == "/work\n"


def test_arguments_that_break_the_schema_are_the_mistake_of_the_policy(
    repairs: RepoTaskset,
) -> None:
    found = answers(
        repairs.env(TASK),
        shell("true", timeout_s=100_000),
        shell(""),
        call("read_file", path="a", line=1),
        call("edit_file", path="a", old="", new="x"),
    )
    assert [each.error_class for each in found] == ["policy"] * 4


# --- a repository of one's own -------------------------------------------------------------------

WIDGET = '"""Widgets."""\n\n\ndef double(n):\n    return n + n + 1\n'
FIXED = WIDGET.replace(" + 1", "")
WIDGET_TESTS = """import unittest

from widget import double


class WidgetTest(unittest.TestCase):
    def test_two(self):
        self.assertEqual(double(2), 4)

    def test_zero(self):
        self.assertEqual(double(0), 0)
        self.assertEqual(double(-1), -2)

    @unittest.skip("later")
    def test_later(self):
        self.fail()
"""
REPORTER = """import json
import sys
sys.path.insert(0, "/work")
try:
    from widget import double
    good = double(2) == 4
except Exception:
    good = False
inner = "" if good else "<failure/>"
text = f'<testsuite><testcase classname="w" name="two">{inner}</testcase></testsuite>'
open(sys.argv[1], "w").write(text)
"""


def git(folder: Path, *words: str) -> None:
    """Run git without anybody's configuration."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, env=environment, timeout=60)


@pytest.fixture
def widget(tmp_path: Path) -> Path:
    """A git repository with a mistake, tests and a hook of its own."""
    folder = tmp_path / "widget"
    (folder / "tests").mkdir(parents=True)
    (folder / "widget.py").write_text(WIDGET)
    (folder / "tests" / "test_widget.py").write_text(WIDGET_TESTS)
    (folder / "tests" / "report.py").write_text(REPORTER)
    (folder / "setup.cfg").write_text("[metadata]\nname = widget\n")
    (folder / ".gitattributes").write_text("tests export-ignore\n")
    git(folder, "init", "--quiet", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "begin")
    git(folder, "tag", "v1")
    (folder / "later.py").write_text("")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "go on")
    return folder


def task_file(folder: Path, **row: Any) -> Path:
    """A task file of one line."""
    line = {"id": "w", "prompt": "Repair it.", "repo": "widget", "test_files": ["tests/**"]} | row
    path = folder / "tasks.jsonl"
    path.write_text(json.dumps(line) + "\n")
    return path


def widgets(folder: Path, **row: Any) -> tuple[RepoTaskset, Task]:
    """The taskset of one task, and the task."""
    made = taskset(task_file(folder, **row), cache_dir=folder / "cache", test_timeout_s=60)
    return made, made.tasks("train")[0]


FIX = call("write_file", path="widget.py", text=FIXED)


@pytest.mark.usefixtures("repairs")
def test_a_commit_of_a_folder_is_worked_on_without_its_tests(widget: Path, tmp_path: Path) -> None:
    made, task = widgets(tmp_path, commit="v1")
    results, found = asyncio.run(episode(made.env(task), [call("list_files"), FIX]))
    assert results[0].content.split() == [".gitattributes", "setup.cfg", "widget.py"]
    assert found == Outcome(1.0)
    assert outcome(made.env(task)).reason.startswith("2 of 2 tests failed")


@pytest.mark.usefixtures("repairs")
def test_tests_are_shown_when_the_task_says_so(widget: Path, tmp_path: Path) -> None:
    made, task = widgets(tmp_path, show_tests=True)
    listed = answers(made.env(task), call("list_files"))[0].content.split()
    assert {"later.py", "tests/test_widget.py"} <= set(listed)


@pytest.mark.usefixtures("repairs")
def test_a_clone_is_worked_on_like_a_folder(widget: Path, tmp_path: Path) -> None:
    made, task = widgets(tmp_path, repo=f"file://{widget}", commit="v1")
    assert outcome(made.env(task), FIX) == Outcome(1.0)
    assert len(list((tmp_path / "cache").glob("*/HEAD"))) == 1


UNITTEST_HACKS = {
    "writes tests of its own": [
        shell("mkdir tests && printf 'import unittest\\n' >tests/test_widget.py"),
    ],
    "leaves with exit code 0 on import": [
        call("write_file", path="widget.py", text="import os\nos._exit(0)\n")
    ],
    "leaves with exit code 0 when called": [
        call("write_file", path="widget.py", text="import os\n\ndef double(n):\n    os._exit(0)\n")
    ],
    "skips the tests": [
        call("write_file", path="widget.py", text="import unittest\nraise unittest.SkipTest\n")
    ],
    "replaces unittest on import": [
        shell("printf 'import unittest as u\\nu.TestCase.assertEqual = print\\n' >>widget.py")
    ],
    "replaces unittest when called": [
        call(
            "write_file",
            path="widget.py",
            text="import unittest\n\ndef double(n):\n"
            "    unittest.TestResult.addFailure = lambda *a: None\n    return 1\n",
        )
    ],
    "changes the code of an assertion": [
        shell(
            "printf 'import unittest as u\\n"
            "u.TestCase.assertEqual.__code__ = (lambda self, a, b, msg=None: None).__code__\\n'"
            " >>widget.py"
        )
    ],
    "writes its verdict to the runner's output": [
        shell(
            "cat >>widget.py <<'END'\n"
            "import json, os\n"
            "said = {'passed': True, 'error': None}\n"
            "text = ''.join(json.dumps({'test': f'tests.test_widget:WidgetTest.{t}',\n"
            "    'said': said}) + '\\n' for t in ('test_two', 'test_zero'))\n"
            "for number in range(3):\n"
            "    for process in ('self', str(os.getppid())):\n"
            "        try:\n"
            "            with open(f'/proc/{process}/fd/{number}', 'w') as file:\n"
            "                file.write(text)\n"
            "        except OSError:\n"
            "            pass\n"
            "os.kill(os.getppid(), 9)\n"
            "END"
        )
    ],
    "writes its verdict to every pipe": [
        shell(
            "cat >>widget.py <<'END'\n"
            "import os\n"
            "for descriptor in range(3, 20):\n"
            "    try:\n"
            '        os.write(descriptor, b\'{"passed": true, "error": null}\')\n'
            "    except OSError:\n"
            "        pass\n"
            "os._exit(0)\n"
            "END"
        )
    ],
    "links the tests elsewhere": [
        shell(
            "mkdir other && printf 'import unittest\\n' >other/test_widget.py && ln -s other tests"
        )
    ],
    "puts a file where the tests go": [shell("echo >tests")],
    "poisons the bytecode of the tests": [
        shell(
            "mkdir -p tests && printf 'import unittest\\nclass WidgetTest(unittest.TestCase):\\n"
            "    def test_two(self): pass\\n    test_zero = test_two\\n' >/tmp/t.py && "
            "python3 -c \"import py_compile as p; p.compile('/tmp/t.py', "
            "'/work/tests/__pycache__/test_widget.cpython-311.pyc', "
            'invalidation_mode=p.PycInvalidationMode.UNCHECKED_HASH)"'
        )
    ],
    "hides unittest": [
        call("write_file", path="unittest.py", text="class TestCase: pass\n"),
        call("write_file", path="tests/unittest/__init__.py", text="class TestCase: pass\n"),
    ],
}


@pytest.mark.parametrize("hack", UNITTEST_HACKS)
@pytest.mark.usefixtures("repairs")
def test_a_hack_against_unittest_does_not_score(widget: Path, tmp_path: Path, hack: str) -> None:
    made, task = widgets(tmp_path)
    found = outcome(made.env(task), *UNITTEST_HACKS[hack])
    assert found.score == 0.0
    assert found.reason


COMMAND = ["python3", "tests/report.py", "{report}"]
FORGE = (
    "import os, sys\n"
    "with open(sys.argv[-1], 'w') as file:\n"
    '    file.write(\'<a><testcase classname="w" name="two"/></a>\')\n'
    "os._exit(0)\n"
)
COMMAND_HACKS = {
    "leaves early": [call("write_file", path="widget.py", text="import os\nos._exit(0)\n")],
    "leaves reports": [
        shell(
            'printf \'<testsuite><testcase name="two" classname="w"/></testsuite>\' '
            "| tee /tmp/report.xml report.xml"
        ),
        call("write_file", path="widget.py", text="import os\nos._exit(0)\n"),
    ],
    "replaces the command": [call("write_file", path="tests/report.py", text=FORGE)],
    "hides the standard library": [call("write_file", path="tests/json.py", text=FORGE)],
}


@pytest.mark.usefixtures("repairs")
def test_a_command_of_the_task_judges_by_its_report(widget: Path, tmp_path: Path) -> None:
    made, task = widgets(tmp_path, test_command=COMMAND, must_pass=["w.two"])
    assert outcome(made.env(task), FIX) == Outcome(1.0)
    assert outcome(made.env(task)).reason == "no test passed"


@pytest.mark.parametrize("hack", COMMAND_HACKS)
@pytest.mark.usefixtures("repairs")
def test_a_hack_against_a_command_does_not_score(widget: Path, tmp_path: Path, hack: str) -> None:
    made, task = widgets(tmp_path, test_command=COMMAND)
    found = outcome(made.env(task), *COMMAND_HACKS[hack])
    assert found.score == 0.0
    assert found.reason


@pytest.mark.usefixtures("repairs")
def test_an_exit_code_judges_only_where_the_task_says_so(widget: Path, tmp_path: Path) -> None:
    command = {"test_command": "cd tests && python3 -m unittest test_widget"}
    with pytest.raises(DataError, match=r"tasks\.jsonl:1: .*must write a JUnit report"):
        widgets(tmp_path, **command)
    command = {"test_command": "PYTHONPATH=. python3 -m unittest tests/test_widget.py"}
    made, task = widgets(tmp_path, is_exit_code_enough=True, **command)
    assert outcome(made.env(task), FIX) == Outcome(1.0)
    assert outcome(made.env(task)) == Outcome(0.0, "tests failed: exit code 1")


# --- trouble -------------------------------------------------------------------------------------


class DyingBox:
    """A box whose commands fail from the given one on."""

    def __init__(self, lives: int) -> None:
        self.lives = lives

    async def exec(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> ExecResult:
        self.lives -= 1
        if self.lives < 0:
            raise InfraError("the box died")
        return ExecResult(0, b"", b"")

    async def read(self, path: str) -> bytes:
        raise InfraError("the box died")

    async def write(self, path: str, data: bytes) -> None:
        raise InfraError("the box died")

    async def snapshot(self) -> bytes:
        return b""

    async def restore(self, snapshot: bytes) -> None:
        return


class DyingBackend:
    """Opens boxes with so many lives each, and counts those that are open."""

    def __init__(self, *lives: int) -> None:
        self.lives = list(lives)
        self.opened = self.open = 0

    async def probe(self) -> Probe:
        return Probe("dying", True, "")

    @asynccontextmanager
    async def box(self, spec: BoxSpec) -> AsyncIterator[Sandbox]:
        assert self.open == 0, "the box that judges opens after the policy's is gone"
        self.open += 1
        self.opened += 1
        try:
            yield DyingBox(self.lives[self.opened - 1])
        finally:
            self.open -= 1


def dying(*lives: int) -> tuple[Env, DyingBackend]:
    """An environment whose boxes die."""
    made, backend = taskset(), DyingBackend(*lives)
    return RepoTaskset(made.options, None, backend, made.load).env(TASK), backend


def test_a_box_that_dies_voids_the_episode_and_is_no_score() -> None:
    env, backend = dying(1)
    with pytest.raises(InfraError, match="the box died"):
        asyncio.run(episode(env, [shell("true")]))
    assert backend.open == 0


@pytest.mark.parametrize("lives", [0, 1])
def test_a_box_that_dies_while_judging_leaves_the_episode_unscored(lives: int) -> None:
    env, backend = dying(9, lives)
    with pytest.raises(InfraError, match="the box died"):
        asyncio.run(episode(env, []))
    assert (backend.opened, backend.open) == (2, 0)


def test_a_box_without_python_is_no_fault_of_the_policy() -> None:
    env, _ = dying(9, 9)
    with pytest.raises(InfraError, match="cannot run tests with python3"):
        asyncio.run(episode(env, []))


def test_an_episode_that_never_opened_has_no_score() -> None:
    env, _ = dying(9)
    with pytest.raises(InfraError, match="never opened"):
        asyncio.run(env.grade(NOBODY))


BAD_TASKS = [
    ({"repo": "nowhere"}, r"tasks\.jsonl:1: repo: there is no folder or tarball .*/nowhere"),
    ({"commit": "v9"}, r"widget: has no commit 'v9'"),
    ({"commit": "--all"}, r"widget: has no commit '--all'"),
    (
        {"test_files": ["spec/**"]},
        r"task w: no file of .*/widget matches test_files \['spec/\*\*'\]",
    ),
    ({"test_files": []}, r"tasks\.jsonl:1: test_files"),
    ({"test_files": ["setup.cfg"]}, "task w: test_files hold no unittest methods"),
    ({"tests": "x"}, r"tasks\.jsonl:1: tests: Extra inputs are not permitted"),
    ({"prompt": ""}, r"tasks\.jsonl:1: prompt"),
    ({"must_pass": ["a"]}, "must_pass needs a test_command"),
]


@pytest.mark.parametrize(("row", "message"), BAD_TASKS)
def test_a_bad_task_is_refused_in_one_line(
    widget: Path, tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        widgets(tmp_path, **row)
    assert "\n" not in str(caught.value)


def test_a_folder_without_git_has_no_commits(tmp_path: Path) -> None:
    (tmp_path / "widget").mkdir()
    (tmp_path / "widget" / "test_a.py").write_text(WIDGET_TESTS)
    with pytest.raises(DataError, match="is no git repository, so it has no commits"):
        widgets(tmp_path, commit="v1", test_files=["test_a.py"])
    made, task = widgets(tmp_path, test_files=["test_a.py"])
    assert made.tasks("train") == (task,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sandbox": "chroot"}, "no sandbox named 'chroot'"),
        ({"levels": [4]}, "levels must be some of"),
        ({"count": 9999}, "got a count of 9999"),
        ({"speed": 1}, "repo: option speed: Extra inputs"),
        ({"limits": {"memory_bytes": -1}}, "repo: option limits: .*memory_bytes must be positive"),
        ({"command_timeout_s": 0}, "repo: option command_timeout_s"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        taskset(**options)
    assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"clones cannot be kept in .*/file/cache.*set cache_dir"):
        clone("file:///nowhere", tmp_path / "file" / "cache", 10)


def test_a_clone_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="cannot clone file:///nowhere"):
        clone("file:///nowhere", tmp_path / "cache", 30)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "url", ["ext::sh -c id", "ssh://host/x", "--upload-pack=id", "https://a b"]
)
def test_other_ways_to_clone_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="expected a folder, a tarball, https:// or file://"):
        clone(url, tmp_path, 10)


# --- sources and cleaning, without a box ---------------------------------------------------------


def test_a_commit_is_read_as_it_is_stored(widget: Path) -> None:
    (widget / "widget.py").write_text("changed since")
    files = read_commit(widget, "v1", "widget")
    assert files["widget.py"].data.decode() == WIDGET
    assert "tests/test_widget.py" in files
    assert "later.py" not in files


def test_modes_and_links_survive_a_tree(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    (folder / ".git").mkdir(parents=True)
    (folder / "a.sh").write_text("x")
    (folder / "a.sh").chmod(0o755)
    (folder / "b").symlink_to("a.sh")
    (folder / "loop").symlink_to(".")
    files = read_folder(folder)
    assert files == {
        "a.sh": File(b"x", is_executable=True),
        "b": File(target="a.sh"),
        "loop": File(target="."),
    }
    (tmp_path / "tree.tar").write_bytes(to_tar(files))
    assert read_tarball(tmp_path / "tree.tar") == files


def test_a_tarball_loses_the_one_folder_around_it(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(to_tar({"v1/x.py": File(b"1"), "v1/t/y.py": File(b"2")}))
    assert set(read_tarball(tmp_path / "a.tar")) == {"x.py", "t/y.py"}


def test_bad_tarballs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    path.write_bytes(b"not a tar")
    with pytest.raises(DataError, match="cannot be read as a tar archive"):
        read_tarball(path)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../up"))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="leads out of the archive"):
        read_tarball(path)
    path.write_bytes(to_tar({}))
    with pytest.raises(DataError, match="holds no files"):
        read_tarball(path)


@pytest.mark.parametrize(
    ("globs", "wanted"),
    [
        (["tests/**"], ["tests/a.py", "tests/u/b.py"]),
        (["tests"], ["tests/a.py", "tests/u/b.py"]),
        (["**/test_*.py"], ["test_c.py", "src/test_d.py"]),
        (["test_*.py"], ["test_c.py"]),
        (["*/?.py"], ["tests/a.py"]),
        (["src/test.d.py"], []),
    ],
)
def test_patterns_name_files(globs: list[str], wanted: list[str]) -> None:
    paths = ["tests/a.py", "tests/u/b.py", "test_c.py", "src/test_d.py"]
    assert matching(paths, globs) == wanted


def test_what_could_bend_tests_goes_and_the_work_stays() -> None:
    original = Original(
        {"tests/test_a.py": File()}, ("tests/**",), frozenset({"types/x.py", "a.py"})
    )
    work = ["a.py", "new.py", "pkg/json.py", "types/y.py", "docs/pytest.md", "data/a.txt"]
    bent = [
        "conftest.py",
        "pkg/conftest.py",
        "tests/extra.py",
        "tests/json.py",
        "json.py",
        "unittest/__init__.py",
        "pytest.py",
        "sitecustomize.py",
        "sitecustomize/__init__.py",
        "sitecustomize.cpython-311-x86_64-linux-gnu.so",
        "pkg/__pycache__/a.cpython-311.pyc",
        "a.pyc",
        ".local/lib/x.py",
        "x.pth",
        "setup.cfg",
    ]
    assert unwanted([*work, *bent], original) == bent


def test_test_methods_are_found_as_they_are_written() -> None:
    files = {"tests/test_widget.py": File(WIDGET_TESTS.encode()), "tests/data.txt": File(b"class")}
    found = unittest_methods(files)
    prefix = "tests.test_widget:WidgetTest"
    assert found == [f"{prefix}.test_two", f"{prefix}.test_zero"]


REPORTS = {
    "<a><testcase name='x'/></a>": 1.0,
    "<a><testcase name='x'/><testcase name='y'><failure/></testcase></a>": 0.0,
    "<a><testcase name='x'/><testcase name='y'><error/></testcase></a>": 0.0,
    "<a><testcase name='x'><skipped/></testcase></a>": 0.0,
    "<a><testcase name='z'/></a>": 0.0,
    "<a></a>": 0.0,
    "no xml": 0.0,
    "<!DOCTYPE a [<!ENTITY b 'c'>]><a><testcase name='x'/></a>": 0.0,
}


@pytest.mark.parametrize("text", REPORTS)
def test_a_report_passes_only_when_all_that_must_pass_did(text: str) -> None:
    class Reporting(DyingBox):
        async def read(self, path: str) -> bytes:
            return text.encode()

    verdict = by_command(["run", "{report}"], ["x"], 10)
    assert asyncio.run(verdict(Reporting(1))).score == REPORTS[text]


def test_rows_keep_their_splits_and_budgets(widget: Path, tmp_path: Path) -> None:
    splits = read_rows(task_file(tmp_path, split="test", max_calls=7))
    assert [task.max_calls for task in splits.of("test")] == [7]
    with pytest.raises(ConfigError, match="no tasks in split 'train'"):
        splits.of("train")


# --- rollouts ------------------------------------------------------------------------------------


def scripted(chat: Chat, plans: Sequence[Plan]) -> Callable[[str, int, Sequence[int]], list[int]]:
    """Every episode repairs its program with a call a turn, and then says DONE."""
    calls = {plan.id: solution(plan.task) for plan in plans}

    def script(episode_id: str, turn: int, prompt: Sequence[int]) -> list[int]:
        todo = calls[episode_id]
        if turn >= len(todo):
            return [*chat.template.encode("DONE"), chat.stop_ids[0]]
        each = {"name": todo[turn].name, "arguments": json.loads(todo[turn].raw_arguments)}
        text = f"<tool_call>\n{json.dumps(each)}\n</tool_call>"
        return [*chat.template.encode(text), chat.stop_ids[0]]

    return script


def test_eight_episodes_at_once_are_all_repaired(repairs: RepoTaskset, desk_chat: Chat) -> None:
    plans = [Plan(task.id, task, 0) for task in repairs.tasks("train")[:8]]
    engine = ScriptedEngine(scripted(desk_chat, plans))
    cfg = RolloutConfig(concurrency=8, max_turns=4, max_new_tokens=4096, max_tokens=65536)
    found = asyncio.run(Rollout(repairs, engine, desk_chat, cfg, "repo").run(plans))
    assert [each.outcome for each in found] == [Outcome(1.0)] * 8
    assert {each.stop_reason for each in found} == {StopReason.DONE}
