"""Run the recorded calls of a trajectory again: is the environment what it was?

A replay goes to the end and counts. A rewind gives an open environment in the state just before a
turn, and raises ``Diverged`` when it cannot be reached; environments that implement ``Snapshots``
go through the calls once and are restored after that. Knows nothing of files, policies or tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

from agentsd.errors import DataError, InfraError
from agentsd.interfaces import Env, Snapshots
from agentsd.matching import Matching, excerpts
from agentsd.types import Message, ToolCall, ToolResult, Trajectory

MakeEnv = Callable[[], Env]
"""A fresh, unopened environment of the trajectory's task."""

STRICT = Matching()

REPLAY_S = 600.0
"""How long the replay of one trajectory may take."""

SNAPSHOTS_BYTES = 256 * 2**20
"""What the snapshots of one ``Rewinds`` may hold together; turns beyond it are replayed."""


class Diverged(InfraError):
    """The environment no longer answers as it did: the state cannot be reached by replay."""

    def __init__(self, trajectory_id: str, divergence: Divergence) -> None:
        super().__init__(f"trajectory {trajectory_id} {divergence}")
        self.trajectory_id = trajectory_id
        self.divergence = divergence


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first call whose result is not the recorded one."""

    turn: int
    call_index: int
    """Position among the calls of the turn."""
    tool: str
    expected: str
    """The recorded text from shortly before the first difference; ignored parts are replaced."""
    actual: str
    expected_error: bool | None
    """None where the recording does not say."""
    actual_error: bool

    def __str__(self) -> str:
        said = f"got {self.actual!r}, recorded {self.expected!r}"
        if self.expected == self.actual:
            said = f"{'is' if self.actual_error else 'is not'} an error now: {self.actual!r}"
        return f"diverges in turn {self.turn}, call {self.call_index} ({self.tool}): {said}"


@dataclass(frozen=True, slots=True)
class Replay:
    """How one trajectory went the second time."""

    trajectory_id: str
    task_id: str
    calls: int = 0
    """Calls that were made again."""
    equal: int = 0
    """Those of them that gave the recorded result."""
    unanswered: int = 0
    """Recorded calls without a result. They are not made: they were beyond the budget, or nobody
    knows how far they got."""
    opening_equal: bool = True
    """Whether the episode opened with the recorded first messages."""
    divergence: Divergence | None = None
    problem: str = ""
    """The infrastructure failure that ended the replay; empty when there was none."""

    @property
    def status(self) -> str:
        """``equal``, ``diverged``, or ``void`` when the infrastructure failed."""
        if self.problem:
            return "void"
        return "equal" if self.divergence is None else "diverged"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call of a trajectory."""

    turn: int
    call_index: int
    call: ToolCall
    message: Message | None
    """The tool message that answers it; None for an unanswered call."""


async def replay(
    trajectory: Trajectory,
    make_env: MakeEnv,
    matching: Matching = STRICT,
    *,
    stop_turn: int | None = None,
) -> Replay:
    """Make all calls again, or those before ``stop_turn``; an infrastructure failure is a value.

    Raises ``DataError`` for a turn that the trajectory does not have.
    """
    calls = list(recorded_calls(trajectory, 0, stop_turn))
    answered = [recorded for recorded in calls if recorded.message is not None]
    found: list[Divergence | None] = []
    opening_equal, problem = True, ""
    env = make_env()
    try:
        async with asyncio.timeout(REPLAY_S):
            opening_equal = _opens_equal(trajectory, await env.open())
            for recorded in answered:
                found.append(_divergence(recorded, await env.call(recorded.call), matching))
    except InfraError as error:
        problem = str(error)
    except TimeoutError:
        problem = f"the replay took more than {REPLAY_S:g} s"
    finally:
        await env.close()
    return Replay(
        trajectory.id,
        trajectory.task_id,
        calls=len(found),
        equal=found.count(None),
        unanswered=len(calls) - len(answered),
        opening_equal=opening_equal,
        divergence=next((divergence for divergence in found if divergence), None),
        problem=problem,
    )


class Rewinds:
    """A trajectory that can be entered before any of its turns, as often as one likes."""

    def __init__(
        self, make_env: MakeEnv, trajectory: Trajectory, matching: Matching = STRICT
    ) -> None:
        self._make_env = make_env
        self._trajectory = trajectory
        self._matching = matching
        self._snapshots: dict[int, bytes] = {}
        """By the turn that they were taken before."""

    @contextlib.asynccontextmanager
    async def before(self, turn: int) -> AsyncIterator[Env]:
        """An open environment in the state just before ``turn``; closed when the context ends.

        ``turn`` may be one behind the last: the state at the end. Raises ``Diverged`` when a
        result differs on the way, other ``InfraError``, and ``DataError`` for a turn that does
        not exist or that follows a call without a recorded result.
        """
        on_the_way = list(recorded_calls(self._trajectory, 0, turn))
        self._refuse_unanswered(on_the_way, turn)
        env = self._make_env()
        try:
            await env.open()
            await self._advance(env, on_the_way, turn)
            yield env
        finally:
            await env.close()

    async def _advance(self, env: Env, on_the_way: list[Recorded], turn: int) -> None:
        """From the nearest snapshot, if there is one, through the calls behind it."""
        start = max((t for t in self._snapshots if t <= turn), default=0)
        if start in self._snapshots:
            assert isinstance(env, Snapshots)
            await env.restore(self._snapshots[start])
        for recorded in on_the_way:
            if recorded.turn >= start:
                result = await env.call(recorded.call)
                if found := _divergence(recorded, result, self._matching):
                    raise Diverged(self._trajectory.id, found)
        if isinstance(env, Snapshots) and turn > start:
            self._keep(turn, await env.snapshot())

    def _keep(self, turn: int, snapshot: bytes) -> None:
        held = sum(map(len, self._snapshots.values()))
        if held + len(snapshot) <= SNAPSHOTS_BYTES:
            self._snapshots[turn] = snapshot

    def _refuse_unanswered(self, on_the_way: list[Recorded], turn: int) -> None:
        for recorded in on_the_way:
            if recorded.message is None:
                raise DataError(
                    f"trajectory {self._trajectory.id}: cannot rewind to turn {turn}: call "
                    f"{recorded.call_index} of turn {recorded.turn} has no recorded result"
                )


@contextlib.asynccontextmanager
async def rewind(
    make_env: MakeEnv, trajectory: Trajectory, turn: int, matching: Matching = STRICT
) -> AsyncIterator[Env]:
    """``Rewinds.before`` for a single use."""
    async with Rewinds(make_env, trajectory, matching).before(turn) as env:
        yield env


def recorded_calls(
    trajectory: Trajectory, start: int = 0, stop: int | None = None
) -> Iterator[Recorded]:
    """The calls of turns ``[start, stop)`` in order. Raises ``DataError`` for a turn beyond."""
    turns = trajectory.turns()
    last = len(turns) if stop is None else stop
    if not 0 <= start <= last <= len(turns):
        raise DataError(
            f"trajectory {trajectory.id} has {len(turns)} turns, there is no turn {last}"
        )
    for turn in turns[start:last]:
        for index, call in enumerate(turn.message.tool_calls):
            yield Recorded(turn.index, index, call, turn.result_of(index))


def _opens_equal(trajectory: Trajectory, messages: Sequence[Message]) -> bool:
    """Whether these are the messages that stand before the first turn."""
    turns = trajectory.turns()
    stop = turns[0].message_index if turns else None
    recorded = [(message.role, message.content) for message in trajectory.messages[:stop]]
    return recorded == [(message.role, message.content) for message in messages]


def _divergence(recorded: Recorded, result: ToolResult, matching: Matching) -> Divergence | None:
    message = recorded.message
    assert message is not None
    if matching.equal(message, result):
        return None
    visible = matching.visible
    expected, actual = excerpts(visible(message.content), visible(result.content))
    return Divergence(
        turn=recorded.turn,
        call_index=recorded.call_index,
        tool=recorded.call.name,
        expected=expected,
        actual=actual,
        expected_error=message.result.is_error if message.result else None,
        actual_error=result.is_error,
    )
