"""Whole runs, small: they repeat exactly, survive a kill, and leave what they promise."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agentsd.checkpoint import checkpoints
from agentsd.store import read_findings, read_trajectories

pytestmark = pytest.mark.slow

AGENTSD = (sys.executable, "-c", "from agentsd.cli import main; main()")
SMALL = (
    "train.steps=4",
    "train.checkpoint_every=1",
    "rollout.episodes=6",
    "eval.episodes=8",
    "env.options.levels=[1]",
)
DEADLINE_S = 300.0


def start(out: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [*AGENTSD, "quickstart", "--out", str(out), *arguments, *SMALL]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(out: Path, *arguments: str) -> str:
    process = start(out, *arguments)
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, stderr
    return stdout


def summary_of(out: Path) -> dict[str, Any]:
    """The summary without the one number that may differ between equal runs."""
    summary = json.loads((out / "summary.json").read_text())
    assert summary.pop("seconds") > 0
    return summary


def weights_of(out: Path) -> bytes:
    return (checkpoints(out / "checkpoints")[-1].path / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    printed = finish(out)
    assert "report" in printed
    assert "train 4/4" in printed  # plain lines, for there is no terminal
    return out


def test_a_run_leaves_everything_that_was_promised(uninterrupted: Path) -> None:
    summary = summary_of(uninterrupted)
    assert summary["trajectories"] == 24
    assert 0.0 <= summary["after"]["error_rate"] <= 1.0
    assert summary["drift_nats"] >= 0.0
    assert "<html" in (uninterrupted / "report.html").read_text()
    steps = sorted((uninterrupted / "trajectories").iterdir())
    recorded = [t for path in steps for t in read_trajectories(path)]
    assert len(recorded) == 24
    assert all(t.token_logs[0].logprobs for t in recorded)
    ids = {t.id for t in recorded}
    assert {f.trajectory_id for f in read_findings(uninterrupted / "findings.jsonl")} <= ids
    rows = [json.loads(row) for row in (uninterrupted / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["distill/branches"] >= rows[-1]["distill/accepted"]


def test_the_same_seed_gives_the_same_summary_and_weights(
    uninterrupted: Path, tmp_path: Path
) -> None:
    finish(tmp_path / "again")
    assert summary_of(tmp_path / "again") == summary_of(uninterrupted)
    assert weights_of(tmp_path / "again") == weights_of(uninterrupted)


def test_a_killed_run_resumes_to_the_same_weights(uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    process = start(out)
    wait_for(out / "checkpoints" / "step-00002", process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (out / "summary.json").exists()
    finish(out, "--resume")
    assert weights_of(out) == weights_of(uninterrupted)
    assert summary_of(out) == summary_of(uninterrupted)


def test_a_finished_run_is_not_overwritten(uninterrupted: Path) -> None:
    before = weights_of(uninterrupted)
    process = start(uninterrupted, "--resume")
    _, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert "finished run" in stderr
    assert weights_of(uninterrupted) == before


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until the path exists; fails when the process ends first or takes too long."""
    deadline = time.monotonic() + DEADLINE_S
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
