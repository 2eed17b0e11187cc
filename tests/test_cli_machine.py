"""The commands about this machine and about other people's servers, as users meet them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def agentsd(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = (sys.executable, "-c", "from agentsd.cli import main; main()")
    return subprocess.run(
        [*program, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


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
