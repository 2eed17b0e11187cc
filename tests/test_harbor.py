"""Harbor task directories: read, refused, played in real boxes and graded apart from them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentsd.boxes import MIB
from agentsd.errors import ConfigError, DataError, InfraError
from agentsd.sandbox.backends import backend
from agentsd.sandbox.docker import DockerBackend
from agentsd.testing import check_taskset
from agentsd.types import Outcome, ToolCall, ToolResult, Trajectory
from agentsd_envs.harbor import HarborTaskset, taskset
from agentsd_envs.harbor.folder import read_folder
from agentsd_envs.harbor.reference import check_reference
from agentsd_envs.harbor.verifier import read_reward

DATA = Path(__file__).parent / "data" / "harbor"


@pytest.fixture(scope="module")
def bwrap() -> str:
    probe = asyncio.run(backend("bwrap").probe())
    if not probe.works:
        pytest.skip(f"bwrap: {probe.detail}; {probe.fix}")
    return "bwrap"


@pytest.fixture(scope="module")
def host_image() -> str:
    """An image with Python that needs no registry."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    probe = asyncio.run(DockerBackend().probe())
    if not probe.works:
        pytest.skip(f"docker: {probe.detail}; {probe.fix}")
    return asyncio.run(DockerBackend().host_python_image())


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A copy of the task without an image, to be changed."""
    return Path(shutil.copytree(DATA / "plain-sum", tmp_path / "plain-sum"))


def with_dockerfile(folder: Path, image: str) -> Path:
    """A copy of the repair task whose image keeps its file where only root may read it."""
    task = Path(shutil.copytree(DATA / "repair", folder / "repair"))
    lines = [f"FROM {image}", "WORKDIR /app", "COPY stats.py .", "RUN chmod 600 stats.py"]
    (task / "environment" / "Dockerfile").write_text("\n".join(lines))
    return task


def shell(command: str) -> ToolCall:
    return ToolCall("c", "shell", "", {"command": command})


def play(tasks: HarborTaskset, calls: Sequence[ToolCall]) -> tuple[list[ToolResult], Outcome]:
    """One episode of the first task."""

    async def run() -> tuple[list[ToolResult], Outcome]:
        env = tasks.env(tasks.tasks("train")[0])
        try:
            messages = await env.open()
            results = [await env.call(call) for call in calls]
            outcome = await env.grade(Trajectory("e", "t", "harbor", (), tuple(messages)))
        finally:
            await env.close()
        assert outcome is not None
        return results, outcome

    return asyncio.run(run())


# --- reading -------------------------------------------------------------------------------------


def test_a_task_directory_is_read():
    folder = read_folder(DATA / "plain-sum")
    assert folder.name == "plain-sum"
    assert folder.instruction.startswith("Write the sum")
    assert (folder.toml.agent.timeout_s, folder.toml.verifier.timeout_s) == (60.0, 30.0)
    assert folder.toml.environment.env == {"GREETING": "hello"}
    assert (folder.limits.memory_bytes, folder.limits.workdir_bytes) == (512 * MIB, 64 * MIB)
    assert folder.limits.cpus == 1


def test_sizes_of_the_first_schema_are_read():
    limits = read_folder(DATA / "repair").limits
    assert (limits.memory_bytes, limits.workdir_bytes) == (1024 * MIB, 100 * MIB)


def test_every_directory_is_a_task_and_some_may_be_for_testing():
    tasks = taskset(DATA, test_names=["rep*"])
    assert [task.id for task in tasks.tasks("train")] == ["plain-sum"]
    assert [task.id for task in tasks.tasks("test")] == ["repair"]


def test_one_task_directory_is_a_taskset_too():
    assert [task.id for task in taskset(DATA / "plain-sum").tasks("train")] == ["plain-sum"]


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ('[environment]\nnetwork_mode = "public"', r"asks for the internet \(\[environment\]"),
        ("[environment]\nallow_internet = true", "allow_internet = true.*set offline = true"),
        ('[verifier]\nnetwork_mode = "allowlist"', r"\[verifier\] network_mode = allowlist"),
        ("[environment]\ngpus = 1", "needs an accelerator"),
        ('[environment]\nos = "Windows"', "needs Windows; boxes run Linux"),
        ('[environment]\nworkdir = "/app"', "works in /app but brings no image"),
        ('[environment]\nenv = { KEY = "${API_KEY}" }', r"wants the variable KEY = \$\{API_KEY\}"),
        ('[environment]\nhealthcheck = { command = "true" }', "waits for a service"),
        ('[[environment.mcp_servers]]\nname = "a"', "brings MCP servers"),
        ('[[steps]]\nname = "one"', "has several steps"),
        ("[verifier.environment]\ncpus = 1", "has an image of its own for the tests"),
        ('[environment]\nmemory = "lots"', r"environment\.memory: .*'lots' is not a number with"),
        ("[agent]\ntimeout_sec = 0", r"task\.toml: agent\.timeout_sec: Input should be greater"),
        ("[agent", r"task\.toml: is not TOML"),
    ],
)
def test_a_task_that_a_box_cannot_hold_is_refused_in_one_line(plain: Path, toml: str, problem: str):
    (plain / "task.toml").write_text(toml)
    with pytest.raises(DataError, match=problem) as caught:
        taskset(plain)
    assert "\n" not in str(caught.value)
    assert str(plain) in str(caught.value)


def test_a_task_that_says_nothing_about_the_network_runs_without(plain: Path):
    (plain / "task.toml").write_text("")
    assert read_folder(plain).toml.environment.wish is None


def test_a_task_that_asks_for_the_internet_runs_when_told_to(plain: Path):
    (plain / "task.toml").write_text("[environment]\nallow_internet = true")
    assert len(taskset(plain, offline=True).tasks("train")) == 1


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ("tests/test.sh", r"has no tests/test\.sh, so nothing can be graded; add one"),
        ("task.toml", r"has no task\.toml"),
        ("instruction.md", r"instruction\.md: cannot be read: No such file"),
    ],
)
def test_a_directory_that_lacks_a_part_says_which(plain: Path, missing: str, problem: str):
    (plain / missing).unlink()
    with pytest.raises(DataError, match=problem):
        taskset(plain)


def test_a_task_of_the_old_format_names_its_converter(tmp_path: Path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "task.yaml").write_text("instruction: hello")
    with pytest.raises(DataError, match=r"Terminal-Bench 1 .*harbor tasks migrate"):
        taskset(tmp_path)


def test_a_task_with_several_containers_is_refused(plain: Path):
    (plain / "environment" / "docker-compose.yaml").write_text("services: {}")
    with pytest.raises(DataError, match="needs several containers"):
        taskset(plain)


def test_a_folder_without_tasks_and_a_pattern_without_matches_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="holds no task directory"):
        taskset(tmp_path)
    with pytest.raises(DataError, match="is not a directory of Harbor tasks"):
        taskset(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no task whose name matches x"):
        taskset(DATA, names=["x*"])


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("1", 1.0),
        ("0.25\n", 0.25),
        ('{"reward": 0.5, "speed": 3}', 0.5),
        ('{"accuracy": 0.5}', 0.5),
        ('{"accuracy": 0.5, "speed": 3}', 0.0),
        ('{"reward": "1"}', 0.0),
        ('{"reward": true}', 0.0),
        ("NaN", 0.0),
        ("", 0.0),
        ("passed", 0.0),
    ],
)
def test_a_reward_is_one_finite_number(text: str, score: float):
    outcome = read_reward(text, "reward.json")
    assert outcome.score == score
    assert outcome.reason or score


# --- boxes ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("bwrap")
def test_the_reference_solution_scores_and_doing_nothing_does_not():
    async def check():
        tasks = taskset(DATA / "plain-sum")
        return await check_reference(await tasks.room(tasks.tasks("train")[0]))

    found = asyncio.run(check())
    assert (found.idle, found.solved) == (Outcome(0.0), Outcome(1.0))
    assert found.is_sound


@pytest.mark.usefixtures("bwrap")
def test_a_policy_that_does_the_task_scores():
    results, outcome = play(
        taskset(DATA / "plain-sum"),
        [
            ToolCall("1", "read_file", "", {"path": "numbers.txt"}),
            ToolCall("2", "write_file", "", {"path": "sum.txt", "content": "42\n"}),
            shell("cat sum.txt; echo $GREETING; exit 3"),
        ],
    )
    assert [result.content for result in results] == [
        "17\n4\n21\n",
        "sum.txt written",
        "42\nhello\n[exit code 3]\n",
    ]
    assert not any(result.is_error for result in results)
    assert outcome == Outcome(1.0)


@pytest.mark.usefixtures("bwrap")
def test_tests_and_solution_are_nowhere_while_the_policy_works():
    find = "find / -name test.sh -o -name expected.txt -o -name solve.sh 2>/dev/null | wc -l"
    results, _ = play(taskset(DATA / "plain-sum"), [shell(find), shell("ls /tests /solution")])
    assert results[0].content == "0\n"
    assert "[exit code" in results[1].content


@pytest.mark.usefixtures("bwrap")
def test_a_reward_that_the_policy_writes_is_not_read():
    write = "mkdir -p /logs/verifier; echo 1 > /logs/verifier/reward.txt; cat /logs/verifier/*"
    results, outcome = play(taskset(DATA / "plain-sum"), [shell(write)])
    assert results[0].content == "1\n"
    assert outcome == Outcome(0.0)


@pytest.mark.usefixtures("bwrap")
def test_the_environment_conforms():
    calls = [shell("echo hello > a.txt; ls"), shell("cat a.txt")]
    assert asyncio.run(check_taskset(taskset(DATA / "plain-sum"), calls=calls)) == []


@pytest.mark.usefixtures("bwrap")
def test_a_file_that_is_not_there_is_the_tools_own_no():
    results, _ = play(
        taskset(DATA / "plain-sum"), [ToolCall("1", "read_file", "", {"path": "nowhere"})]
    )
    assert (results[0].is_error, results[0].error_class) == (True, "tool")
    assert results[0].content == "Error: nowhere: No such file or directory"


@pytest.mark.usefixtures("bwrap")
def test_calls_beyond_the_tasks_own_time_are_refused(plain: Path):
    (plain / "task.toml").write_text("[agent]\ntimeout_sec = 2")
    results, outcome = play(
        taskset(plain), [shell("echo 42 > sum.txt; sleep 60"), shell("echo late")]
    )
    assert [result.error_class for result in results] == ["timeout", "timeout"]
    assert "the time for the task, 2 s, is used up" in results[1].content
    assert outcome == Outcome(1.0)  # what was done in time counts


@pytest.mark.usefixtures("bwrap")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("sleep 60", "the tests did not end within 1 s"),
        ("echo broken >&2; exit 2", "the tests left no reward: exit code 2, broken"),
        ("echo good > /logs/verifier/reward.txt", "reward.txt is not a number: 'good'"),
    ],
)
def test_tests_that_give_no_reward_are_a_zero_with_the_reason(
    plain: Path, script: str, reason: str
):
    (plain / "task.toml").write_text("[verifier]\ntimeout_sec = 1")
    (plain / "tests" / "test.sh").write_text(f"#!/bin/sh\n{script}\n")
    _, outcome = play(taskset(plain), [])
    assert outcome.score == 0.0
    assert reason in outcome.reason


@pytest.mark.usefixtures("bwrap")
def test_a_solution_that_fails_says_so(plain: Path):
    (plain / "solution" / "solve.sh").write_text("echo no such tool >&2; exit 9")

    async def check() -> None:
        tasks = taskset(plain)
        await check_reference(await tasks.room(tasks.tasks("train")[0]))

    with pytest.raises(ConfigError, match="its solution ended with exit code 9: no such tool"):
        asyncio.run(check())


def test_an_episode_that_was_never_opened_cannot_be_graded():
    tasks = taskset(DATA / "plain-sum")
    env = tasks.env(tasks.tasks("train")[0])
    with pytest.raises(InfraError, match="there is no box to grade"):
        asyncio.run(env.grade(Trajectory("e", "t", "harbor", (), ())))


# --- images --------------------------------------------------------------------------------------


def test_a_task_with_a_dockerfile_is_played_at_its_own_paths(host_image: str, tmp_path: Path):
    results, outcome = play(
        taskset(with_dockerfile(tmp_path, host_image)),
        [
            ToolCall("1", "read_file", "", {"path": "/app/stats.py"}),
            shell("pwd -P; ls -a /app; touch /usr/x"),
            shell("sed -i 's/return .*/return sum(ordered[1:3]) \\/ 2/' /app/stats.py"),
            shell("python3 -c 'from stats import middle; print(middle([4, 1, 2, 3]))'"),
        ],
    )
    assert "def middle" in results[0].content
    assert results[1].content.startswith("/work\n.\n..\nstats.py\n")
    assert "Read-only file system" in results[1].content
    assert results[3].content == "2.5\n"
    # It is right for four values only: three have no mean of their second and third.
    assert outcome.score == 0.0
    assert '"lines": 3' in outcome.reason


def test_the_reference_solution_scores_in_the_image(host_image: str, tmp_path: Path):
    async def check():
        tasks = taskset(with_dockerfile(tmp_path, host_image))
        return await check_reference(await tasks.room(tasks.tasks("train")[0]))

    found = asyncio.run(check())
    assert (found.idle.score, found.solved.score) == (0.0, 1.0)


def test_a_prebuilt_image_needs_no_dockerfile(host_image: str, tmp_path: Path):
    task = with_dockerfile(tmp_path, host_image)
    (task / "environment" / "Dockerfile").unlink()
    section = f'[environment]\ndocker_image = "{host_image}"\nworkdir = "/app"\n'
    (task / "task.toml").write_text(section)
    results, _ = play(taskset(task), [shell("echo 1 > /app/made; ls /work")])
    assert results[0].content == "made\n"


def test_an_image_that_cannot_be_built_is_one_line_about_the_task(host_image: str, tmp_path: Path):
    task = with_dockerfile(tmp_path, host_image)
    dockerfile = task / "environment" / "Dockerfile"
    dockerfile.write_text(f"FROM {host_image}\nRUN echo no compiler here; exit 4\n")
    with pytest.raises(ConfigError, match=r"repair/environment.*no compiler here") as caught:
        play(taskset(task), [])
    assert "\n" not in str(caught.value)
