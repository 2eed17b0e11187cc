"""The command line as users meet it: help, exit codes, one clear line."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentsd_envs.desk import policy

AGENTSD = (sys.executable, "-c", "from agentsd.cli import main; main()")


def agentsd(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AGENTSD, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


def assert_usage_error(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2, one line on stderr that holds the words, and no traceback."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text('[policy]\nmodel = "desk"\n[env]\nname = "desk"\n')
    return path


def test_help_costs_little_more_than_starting_python_and_loads_no_torch() -> None:
    check = "import agentsd.cli, sys; sys.exit('torch' in sys.modules or 'mcp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
    bare = cpu_seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    with_help = cpu_seconds(lambda: agentsd("--help").check_returncode())
    assert with_help / bare < 15


def cpu_seconds(action: Callable[[], object], times: int = 5) -> float:
    """The least CPU time that a child process of the action took: a busy machine hardly counts."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        action()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(times))


def test_an_unknown_recipe_key_is_one_line_and_nothing_is_written(
    recipe: Path, tmp_path: Path
) -> None:
    done = agentsd("train", recipe, "--out", tmp_path / "run", "train.stesp=5")
    assert_usage_error(done, "recipe.toml", "train.stesp")
    assert not (tmp_path / "run").exists()


def test_a_missing_model_folder_is_one_line(recipe: Path, tmp_path: Path) -> None:
    done = agentsd("train", recipe, "--out", tmp_path / "run", "policy.model=/no/such/folder")
    assert_usage_error(done, "policy.model", "/no/such/folder")
    assert not (tmp_path / "run").exists()


def test_an_unknown_environment_lists_the_known_ones(recipe: Path, tmp_path: Path) -> None:
    done = agentsd("train", recipe, "--out", tmp_path / "run", "env.name=desc")
    assert_usage_error(done, "desc", "desk", "functions", "mcp")


def test_an_mcp_command_that_does_not_exist_is_one_line(recipe: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text('{"id": "a", "prompt": "hi"}\n')
    options = f"env.options={{command = ['no-such-server'], tasks = '{tasks}'}}"
    done = agentsd("train", recipe, "--out", tmp_path / "run", "env.name=mcp", options)
    assert_usage_error(done, "no-such-server")


def test_an_mcp_server_that_never_answers_is_one_line(recipe: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text('{"id": "a", "prompt": "hi"}\n')
    command = f"['{sys.executable}', '-c', 'import time; time.sleep(60)']"
    options = f"env.options={{command = {command}, tasks = '{tasks}', connect_timeout_s = 1.0}}"
    done = agentsd("train", recipe, "--out", tmp_path / "run", "env.name=mcp", options)
    assert_usage_error(done, "1 s")


def test_duplicate_task_ids_are_one_line(recipe: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text('{"id": "a", "prompt": "hi"}\n{"id": "a", "prompt": "ho"}\n')
    options = f"env.options={{command = ['true'], tasks = '{tasks}'}}"
    done = agentsd("train", recipe, "--out", tmp_path / "run", "env.name=mcp", options)
    assert_usage_error(done, "tasks.jsonl", "'a'")


def test_a_hint_role_that_the_template_cannot_take_is_one_line(
    recipe: Path, tmp_path: Path
) -> None:
    """A template that refuses a user message after a user message."""
    folder = desk_copy(tmp_path)
    template = (folder / "chat_template.jinja").read_text()
    refuse = (
        "{%- for m in messages %}{%- if not loop.first and m.role == 'user' "
        "and messages[loop.index0 - 1].role == 'user' %}"
        "{{ raise_exception('roles must alternate') }}{%- endif %}{%- endfor %}"
    )
    (folder / "chat_template.jinja").write_text(refuse + template)
    done = agentsd("train", recipe, "--out", tmp_path / "run", f"policy.model={folder}")
    assert_usage_error(done, "hint", "roles must alternate", "system")


def test_a_tokenizer_without_chat_template_is_one_line(recipe: Path, tmp_path: Path) -> None:
    folder = desk_copy(tmp_path)
    (folder / "chat_template.jinja").unlink()
    done = agentsd("train", recipe, "--out", tmp_path / "run", f"policy.model={folder}")
    assert_usage_error(done, "chat template")


def test_review_of_broken_json_in_the_middle_names_the_line(tmp_path: Path) -> None:
    source = tmp_path / "t.jsonl"
    row = json.dumps({"messages": [{"role": "user", "content": "hi"}], "tools": []})
    source.write_text(f"{row}\n{{broken\n{row}\n")
    done = agentsd("review", source, "--critic", "rules", "--out", tmp_path / "f.jsonl")
    assert_usage_error(done, "t.jsonl", "2")
    assert not (tmp_path / "f.jsonl").exists()


def test_review_keeps_what_stands_before_a_torn_last_line(tmp_path: Path) -> None:
    source = tmp_path / "t.jsonl"
    row = json.dumps({"messages": [{"role": "user", "content": "hi"}], "tools": []})
    source.write_text(f'{row}\n{row}\n{{"messages": [{{"ro')
    done = agentsd("review", source, "--critic", "rules", "--out", tmp_path / "f.jsonl")
    assert done.returncode == 0, done.stderr
    assert "torn last line" in done.stderr
    assert "2 trajectories" in done.stderr


def test_a_tool_schema_that_is_not_json_schema_is_one_line(tmp_path: Path) -> None:
    source, tools = tmp_path / "t.jsonl", tmp_path / "tools.json"
    source.write_text(json.dumps({"messages": [{"role": "user", "content": "hi"}]}) + "\n")
    tools.write_text(json.dumps([{"name": "x", "inputSchema": {"type": "objekt"}}]))
    done = agentsd(
        "review", source, "--critic", "rules", "--tools", tools, "--out", tmp_path / "f.jsonl"
    )
    assert_usage_error(done, "x", "objekt")


def test_review_of_public_runs_finds_every_error_result(shared_data: Path, tmp_path: Path) -> None:
    done = agentsd(
        "review",
        shared_data / "tau_airline_gpt4o.json",
        "--tools",
        shared_data / "tau_airline_tools.json",
        "--critic",
        "rules",
        "--out",
        tmp_path / "f.jsonl",
    )
    assert done.returncode == 0, done.stderr
    assert "100 trajectories  621 calls  63 error results" in done.stderr
    rows = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    keys = {"trajectory_id", "turn", "call_index", "category", "quote", "hint", "critic"}
    assert all(keys <= row.keys() for row in rows)
    refused = [row for row in rows if row["category"] in ("T05", "T08")]
    assert len(refused) == 63
    assert not [row for row in rows if row["category"] in ("T01", "T02", "T03", "T04")]


def test_env_check_passes_for_the_desk() -> None:
    done = agentsd("env", "check", "desk", "--tasks", "2")
    assert done.returncode == 0, done.stdout + done.stderr


def desk_copy(tmp_path: Path) -> Path:
    """A copy of the desk's policy that a test may spoil."""
    return Path(shutil.copytree(policy(), tmp_path / "policy"))


# --- this machine, other people's servers, replays ------------------------------------------------


def test_doctor_names_every_component_and_a_fix_for_each_that_does_not_work() -> None:
    done = agentsd("doctor", "--json")
    assert done.returncode == 0, done.stderr
    probes = {probe["name"]: probe for probe in json.loads(done.stdout)}
    assert {"sandbox bwrap", "sandbox docker", "engine hf", "engine vllm"} <= set(probes)
    assert probes["engine hf"]["works"]
    assert all(probe["works"] or probe["fix"] for probe in probes.values())


def test_gc_of_a_run_that_left_nothing_says_so() -> None:
    done = agentsd("gc", "--run", "a-run-that-never-was")
    assert (done.returncode, done.stdout) == (0, "nothing was left\n")


def test_an_mcp_command_that_is_no_mcp_server_is_one_line_and_exit_code_2() -> None:
    done = agentsd("env", "from-mcp", "--", "/bin/ls", "/")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_checking_needs_an_environment_or_a_sandbox() -> None:
    done = agentsd("env", "check")
    assert done.returncode == 2
    assert "either the NAME of an environment or --sandbox" in done.stderr


def test_replaying_a_file_that_is_not_there_is_exit_code_2(tmp_path: Path) -> None:
    done = agentsd("replay", tmp_path / "none.jsonl", "--env", "desk", "--json")
    assert done.returncode == 2
    assert "none.jsonl" in done.stderr


def test_a_replay_of_recorded_desk_episodes_is_equal_and_of_altered_ones_is_not(
    tmp_path: Path,
) -> None:
    recorded = tmp_path / "t.jsonl"
    agentsd("rollout", "quickstart", "--out", recorded, "--episodes", "3").check_returncode()
    assert agentsd("replay", recorded, "--env", "desk").returncode == 0
    rows = [json.loads(line) for line in recorded.read_text().splitlines()]
    altered = json.dumps(rows[0]).replace('"saved"', '"lost"').replace('"added"', '"lost"')
    changed = tmp_path / "changed.jsonl"
    changed.write_text(altered.replace('"sent"', '"lost"') + "\n")
    assert agentsd("replay", changed, "--env", "desk").returncode == 1
