"""Critics run over files, and what several say is merged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agentsd import store
from agentsd.errors import InfraError
from agentsd.review import ReviewCounts, merge_findings, review, review_file
from agentsd.types import Finding, Message, Span, ToolCall, Trajectory

FINDING = Finding(
    trajectory_id="t0",
    turn=0,
    call_index=0,
    field="call",
    quote="{}",
    char_span=None,
    category="T08",
    severity="minor",
    evidence="the result",
    hint="Look first.",
    confidence=0.6,
    critic="fake",
)


def trajectory(number: int) -> Trajectory:
    """One call that fails."""
    call = Message("assistant", "", (ToolCall("c", "go", "{}", {}),))
    messages = (Message("user", "Go."), call, Message("tool", "Error: no", tool_call_id="c"))
    return Trajectory(f"t{number}", "go", "fake", (), messages)


@dataclass
class FakeCritic:
    """Finds one thing in every trajectory; counts how many it is asked about at a time."""

    category: str = "T08"
    at_once: int = 0
    most_at_once: int = 0
    reviewed: list[str] = field(default_factory=list[str])

    async def review(self, trajectory: Trajectory) -> Sequence[Finding]:
        """Take longer for earlier trajectories, so that they finish last."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.005 if trajectory.id.endswith("0") else 0)
        self.at_once -= 1
        self.reviewed.append(trajectory.id)
        return [replace(FINDING, trajectory_id=trajectory.id, category=self.category)]


class BrokenCritic:
    """A critic whose server is away."""

    async def review(self, trajectory: Trajectory) -> Sequence[Finding]:
        """Fail."""
        raise InfraError(f"no answer about {trajectory.id}")


@pytest.mark.anyio
async def test_findings_come_in_the_order_of_the_trajectories_with_bounded_concurrency():
    critic = FakeCritic()
    found = await review(map(trajectory, range(30)), [critic], concurrency=3)
    assert [finding.trajectory_id for finding in found] == [f"t{n}" for n in range(30)]
    assert critic.reviewed != sorted(critic.reviewed)
    assert critic.most_at_once == 3


@pytest.mark.anyio
async def test_every_critic_is_asked():
    found = await review([trajectory(0)], [FakeCritic("T08"), FakeCritic("T01")])
    assert [finding.category for finding in found] == ["T01", "T08"]


@pytest.mark.anyio
async def test_a_critics_exception_is_raised_as_it_is():
    with pytest.raises(InfraError, match="no answer about t0"):
        await review([trajectory(0)], [BrokenCritic()])


def test_the_most_severe_finding_of_a_call_comes_first():
    critical = replace(FINDING, category="T11", severity="critical")
    later = replace(FINDING, turn=1, severity="critical")
    message = replace(FINDING, call_index=None, field="content")
    assert merge_findings([later, FINDING, critical, message]) == [
        message,
        critical,
        FINDING,
        later,
    ]


def test_of_the_same_finding_by_two_critics_the_surer_one_stays():
    surer = replace(FINDING, critic="other", confidence=0.9)
    elsewhere = replace(FINDING, char_span=Span(0, 1))
    assert merge_findings([FINDING, surer, elsewhere]) == [surer, elsewhere]


def test_who_clears_the_policy_overrules_whoever_is_not_surer():
    cleared = replace(FINDING, category="X2", hint="", confidence=0.8)
    certain = replace(FINDING, category="T01", confidence=1.0)
    other_call = replace(FINDING, call_index=1)
    assert merge_findings([FINDING, cleared, certain, other_call]) == [certain, cleared, other_call]


def test_who_cannot_tell_overrules_nobody():
    unsure = replace(FINDING, category="X3", hint="", confidence=1.0)
    assert merge_findings([FINDING, unsure]) == [FINDING, unsure]


@pytest.mark.anyio
async def test_a_file_is_reviewed_and_counted(tmp_path: Path):
    source, out = tmp_path / "t.jsonl", tmp_path / "f.jsonl"
    store.write_trajectories(source, map(trajectory, range(3)))
    counts = await review_file(source, [FakeCritic()], out)
    assert counts == ReviewCounts(3, calls=3, error_results=3, findings={"T08": 3})
    hashes = {t.id: store.content_hash(t) for t in store.read_trajectories(source)}
    assert [f.trajectory_id for f in store.read_findings(out, hashes)] == ["t0", "t1", "t2"]
    assert json.loads(out.read_text(encoding="utf-8").splitlines()[0])["hint"] == "Look first."


@pytest.mark.anyio
async def test_a_review_that_breaks_leaves_the_old_findings(tmp_path: Path):
    source, out = tmp_path / "t.jsonl", tmp_path / "f.jsonl"
    store.write_trajectories(source, [trajectory(0)])
    await review_file(source, [FakeCritic()], out)
    before = out.read_bytes()
    with pytest.raises(InfraError):
        await review_file(source, [FakeCritic(), BrokenCritic()], out)
    assert out.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["f.jsonl", "t.jsonl"]


def test_counts_add_up():
    one = ReviewCounts(1, 2, 1, {"T08": 1})
    two = ReviewCounts(1, 3, 0, {"T01": 2, "T08": 1})
    assert one + two == ReviewCounts(2, 5, 1, {"T01": 2, "T08": 2})
