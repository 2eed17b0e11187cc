"""The policy's box: filled with the repository, offered as tools, and packed at the end.

Knows nothing of tests or of how the work is judged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType

from agentsd.boxes import BoxSpec
from agentsd.errors import InfraError
from agentsd.interfaces import Sandbox, SandboxBackend, Tool
from agentsd_envs.repo.assignments import Assignment
from agentsd_envs.repo.carrying import fill, snapshots
from agentsd_envs.repo.tools import Shell, coding_tools

MEASURE_S = 60.0
MEASURE = "chmod -R u+rwX . ; find . -type f -exec stat -c %s {} +"
"""Sizes as files claim them: a sparse one takes no room here and all of it in an archive."""


class TooLarge(Exception):
    """The policy left more than a box may hold; the message says what."""


class Workspace:
    """Implements ``ToolSource`` over one box; single use."""

    def __init__(
        self,
        backend: SandboxBackend,
        spec: BoxSpec,
        load: Callable[[], Awaitable[Assignment]],
        shell: Shell,
    ) -> None:
        self.assignment: Assignment | None = None
        """None before the box is open."""
        self._backend, self._spec = backend, spec
        self._load, self._shell = load, shell
        self._box: Sandbox | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Sequence[Tool]:
        """Raises ``ConfigError``, ``DataError`` and ``InfraError``."""
        self.assignment = await self._load()
        async with AsyncExitStack() as stack:
            self._box = await stack.enter_async_context(self._backend.box(self._spec))
            await fill(self._box, self.assignment.shown)
            self._stack = stack.pop_all()
        return coding_tools(self._box, self._shell)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def leave(self) -> bytes:
        """Pack ``/work`` and close the box for good. Raises ``TooLarge`` and ``InfraError``."""
        if self._box is None:
            raise InfraError("the box never opened")
        try:
            await self._measure(self._box)
            return await snapshots(self._box).snapshot()
        finally:
            await self._stack.aclose()

    async def _measure(self, box: Sandbox) -> None:
        """Refuse what no snapshot could hold, which is the policy's doing and not the box's."""
        result = await box.exec(["sh", "-c", MEASURE], timeout_s=MEASURE_S)
        limit = self._spec.limits.workdir_bytes
        if result.is_timeout or result.truncated_bytes:
            raise TooLarge("more files than can be counted")
        if sum(int(each) for each in result.stdout.split()) > limit:
            raise TooLarge(f"files of more than {limit >> 20} MiB")
