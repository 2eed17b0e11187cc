"""The extension points of agentsd: Protocols of one to four methods, all in this file.

Implementations do not inherit. Knows nothing of any implementation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from agentsd.boxes import BoxSpec, ExecResult, Probe
from agentsd.sampling import Completion, SamplingParams
from agentsd.types import (
    Finding,
    Message,
    Outcome,
    Task,
    ToolCall,
    ToolResult,
    ToolSpec,
    Trajectory,
)


@runtime_checkable
class Env(Protocol):
    """The runtime of one episode of one task. Single use: opened once, closed once, never reset."""

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """What the policy is offered; complete once ``open`` has returned."""
        ...

    async def open(self) -> Sequence[Message]:
        """Start the episode. Returns the first messages. Raises ``InfraError``."""
        ...

    async def call(self, call: ToolCall) -> ToolResult:
        """Run one tool call. A tool that says no is a value; raises only ``InfraError``."""
        ...

    async def grade(self, trajectory: Trajectory) -> Outcome | None:
        """Judge the final state; None leaves the trajectory unscored, which is not 0.0."""
        ...

    async def close(self) -> None:
        """Release everything. Idempotent and bounded in time."""
        ...


@runtime_checkable
class Taskset(Protocol):
    """Where tasks and their environments come from."""

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of ``"train"`` or ``"test"``, in a fixed order. Raises ``ConfigError``."""
        ...

    def env(self, task: Task) -> Env:
        """A fresh, unopened environment for one episode of ``task``."""
        ...


@runtime_checkable
class Warm(Protocol):
    """Can keep things started for its next episodes: implemented by tasksets that start servers."""

    def running(self) -> AbstractAsyncContextManager[Taskset]:
        """The same tasks, whose episodes find what they need started, until the context ends."""
        ...


class Tool(Protocol):
    """One tool that an environment offers."""

    @property
    def spec(self) -> ToolSpec:
        """What the policy is told."""
        ...

    async def run(self, call: ToolCall) -> ToolResult:
        """Run a call whose arguments satisfy the schema. Raises only ``InfraError``."""
        ...


@runtime_checkable
class Critic(Protocol):
    """Localizes erroneous tool calls in a finished trajectory."""

    async def review(self, trajectory: Trajectory) -> Sequence[Finding]:
        """The findings, most severe first for each call. Never raises on odd trajectories."""
        ...


class Sampler(Protocol):
    """An engine's place for one episode, whose requests share a growing prefix."""

    async def sample(self, prompt_ids: Sequence[int], params: SamplingParams) -> Completion:
        """Draw one completion. Raises ``InfraError`` when the engine, not the policy, failed."""
        ...


class Engine(Protocol):
    """What samples from the policy: token in, token out."""

    def episode(self, episode_id: str) -> AbstractAsyncContextManager[Sampler]:
        """A place for one episode, kept until the context ends."""
        ...

    async def load(self, weights: Mapping[str, Any], version: str) -> None:
        """Replace the weights. Completions drawn afterwards carry ``version``."""
        ...


class Sandbox(Protocol):
    """A closed box in which untrusted commands run. Paths are paths in the box."""

    async def exec(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> ExecResult:
        """Run a command in ``/work``, alone, and end all it started. Raises ``InfraError`` when the
        box, not the command, failed."""
        ...

    async def read(self, path: str) -> bytes:
        """The file's bytes. Raises ``OSError`` as ``open`` would, ``InfraError`` for a dead box."""
        ...

    async def write(self, path: str, data: bytes) -> None:
        """Create the file, and its folders, or replace it. Raises as ``read`` does."""
        ...


class SandboxBackend(Protocol):
    """Opens boxes of one kind."""

    async def probe(self) -> Probe:
        """Whether boxes of this kind isolate on this machine. Never raises."""
        ...

    def box(self, spec: BoxSpec) -> AbstractAsyncContextManager[Sandbox]:
        """A fresh box until the context ends, whatever happens to this process.

        Entering raises ``ConfigError`` where this machine cannot isolate, with the exact fix.
        """
        ...


@runtime_checkable
class Snapshots(Protocol):
    """Can go back in time: implemented by boxes and environments whose state is copied cheaply."""

    async def snapshot(self) -> bytes:
        """The state now, self-contained. Raises ``InfraError``."""
        ...

    async def restore(self, snapshot: bytes) -> None:
        """Make the state what it was; the same snapshot may be restored many times."""
        ...
