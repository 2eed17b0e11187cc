"""Any running OpenEnv server as an environment, over its wire protocol.

Every episode has a WebSocket, and with it an environment of its own on the server. A task may
carry ``data.reset``, the options of the reset. Nothing of ``openenv`` is imported. Needs the extra
``agentsd[openenv]``. Knows nothing of how messages look; ``session`` does.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from agentsd.errors import DataError, InfraError
from agentsd.interfaces import Env, Tool
from agentsd.tasks import TaskInput, TaskSplits, as_splits
from agentsd.tools.env import Grade, TaskGrade, ToolEnv, grade_of, opening
from agentsd.tools.results import MAX_RESULT_BYTES, MIN_RESULT_BYTES
from agentsd.types import Message, Outcome, Task, ToolCall, ToolResult, ToolSpec, Trajectory
from agentsd.validation import checked_options
from agentsd_envs.openenv.session import Observed, Refused, Server, action_schema, session
from agentsd_envs.openenv.tools import Progress, shown, text_of, tools_of

Reward = Literal["last", "sum"]


class ServerOptions(BaseModel):
    """Where the server is, how long it may take, and what its rewards mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    """Such as ``http://127.0.0.1:8000``."""
    reward: Reward = "last"
    """The score is the last reward that a step gave, or the sum of all."""
    connect_timeout_s: PositiveFloat = 20.0
    """Connection and reset, each."""
    call_timeout_s: PositiveFloat = 30.0
    """One call."""
    max_result_bytes: int = Field(default=MAX_RESULT_BYTES, ge=MIN_RESULT_BYTES)
    """Longer results are cut."""


@dataclass(slots=True)
class Episode:
    """What one episode learns when it is opened."""

    task: Task
    server: Server
    progress: Progress = field(default_factory=Progress)
    first: Observed | None = None

    @contextlib.asynccontextmanager
    async def tools(self) -> AsyncIterator[Sequence[Tool]]:
        """Connect, reset, list the tools. Raises ``InfraError``."""
        action = await action_schema(self.server)
        async with session(self.server) as connected:
            try:
                self.first = await connected.reset(self.task.data.get("reset", {}))
                tools = await tools_of(connected, action, self.progress)
            except Refused as error:
                raise InfraError(f"{self.server}: the reset failed: {error}") from error
            except TimeoutError as error:
                raise InfraError(f"{self.server}: the reset took too long") from error
            yield tools


class OpenEnvEpisode:
    """Implements ``Env``: a ``ToolEnv`` whose first message also tells the first observation."""

    def __init__(self, episode: Episode, inner: ToolEnv) -> None:
        self._episode = episode
        self._inner = inner

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """What the server offers; empty before ``open``."""
        return self._inner.tools

    async def open(self) -> Sequence[Message]:
        """Reset the environment. Raises ``InfraError``."""
        *before, user = await self._inner.open()
        first = self._episode.first
        if first is None or not shown(first):
            return (*before, user)
        return (*before, Message("user", f"{user.content}\n\n{text_of(first)}"))

    async def call(self, call: ToolCall) -> ToolResult:
        """Answer one call. Raises only ``InfraError``."""
        return await self._inner.call(call)

    async def grade(self, trajectory: Trajectory) -> Outcome | None:
        """The author's grade, else the rewards."""
        return await self._inner.grade(trajectory)

    async def close(self) -> None:
        """Give the environment back to the server."""
        await self._inner.close()


@dataclass(frozen=True, slots=True)
class OpenEnvTaskset:
    """Implements ``Taskset`` over an OpenEnv server; made by ``taskset``."""

    splits: TaskSplits
    options: ServerOptions
    server: Server
    system: str
    grade: TaskGrade | None

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of a split. Raises ``ConfigError`` when it has none."""
        return self.splits.of(split)

    def env(self, task: Task) -> Env:
        """A fresh environment; opening it connects to the server. Raises ``DataError``."""
        if not isinstance(task.data.get("reset", {}), Mapping):
            raise DataError(f"task {task.id}: data.reset must be an object of reset options")
        episode = Episode(task, self.server)
        rewarded = _rewarded(episode.progress, self.options.reward)
        inner = ToolEnv(
            episode.tools(),
            opening(task, self.system),
            grade=grade_of(task, self.grade) or rewarded,
            max_result_bytes=self.options.max_result_bytes,
        )
        return OpenEnvEpisode(episode, inner)


def taskset(
    tasks: TaskInput, *, system: str = "", grade: TaskGrade | None = None, **server: Any
) -> OpenEnvTaskset:
    """The server is described by the fields of ``ServerOptions``, of which only ``url`` is needed.

    Without ``grade`` the server's rewards are the score; an episode without any is unscored.
    Raises ``ConfigError``.
    """
    options = checked_options(ServerOptions, "openenv", server)
    where = Server(options.url, options.connect_timeout_s, options.call_timeout_s)
    return OpenEnvTaskset(as_splits(tasks), options, where, system, grade)


def _rewarded(progress: Progress, reward: Reward) -> Grade:
    """Score by what the server gave."""

    async def grade(_trajectory: Trajectory) -> Outcome | None:
        if not progress.rewards:
            return None
        score = progress.rewards[-1] if reward == "last" else sum(progress.rewards)
        return Outcome(score, "" if progress.is_done else "the environment did not say it is done")

    return grade
