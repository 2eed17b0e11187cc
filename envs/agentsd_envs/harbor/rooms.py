"""The box of a Harbor task: where its files lie, and a copy of it for the tests.

The working directory of the task is ``/work``. Harbor's ``/logs`` is a read-only folder of links
into ``/tmp``, because the root of a box cannot be written. Knows nothing of tools or rewards.
"""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentsd.boxes import BoxSpec
from agentsd.errors import InfraError
from agentsd.interfaces import Sandbox, SandboxBackend, Snapshots
from agentsd_envs.harbor.folder import TaskFolder

LOGS = ("agent", "artifacts", "verifier")
LOGS_HOME = "/tmp/logs"
SEED = "/opt/agentsd-seed"
"""Where an image keeps what belongs into ``/work``; ``image`` puts it there."""

SETUP_S = 120.0


@dataclass(frozen=True, slots=True)
class Room:
    """Opens boxes for one task."""

    folder: TaskFolder
    backend: SandboxBackend
    image: str | None
    """None for a task without an image, whose files come from ``environment``."""

    @contextlib.asynccontextmanager
    async def agent_box(self, mounts: Mapping[str, Path] | None = None) -> AsyncIterator[Sandbox]:
        """A box as the task describes it, with further read-only ``mounts``.

        Raises ``InfraError`` when it cannot be set up, ``ConfigError`` as ``SandboxBackend.box``.
        """
        given = dict(mounts or {})
        if not self.folder.needs_image and self.folder.environment.is_dir():
            given["/environment"] = self.folder.environment
        async with self._box(self.folder.toml.environment.env, given) as box:
            source = SEED if self.folder.needs_image else "/environment"
            copy = f"if [ -d {source} ]; then cp -RP {source}/. /work/; fi"
            await _must(box, copy)
            yield box

    @contextlib.asynccontextmanager
    async def test_box(self, workdir: bytes) -> AsyncIterator[Sandbox]:
        """A fresh box with ``workdir``, a snapshot of the agent's, and the tests in ``/tests``."""
        toml = self.folder.toml
        mounts = {"/tests": self.folder.tests}
        async with self._box({**toml.environment.env, **toml.verifier.env}, mounts) as box:
            await snapshots(box).restore(workdir)
            yield box

    @contextlib.asynccontextmanager
    async def _box(
        self, env: Mapping[str, str], mounts: Mapping[str, Path]
    ) -> AsyncIterator[Sandbox]:
        with _logs_folder() as logs:
            spec = BoxSpec(
                limits=self.folder.limits,
                env=env,
                mounts={path: str(host.resolve()) for path, host in mounts.items()}
                | {"/logs": str(logs)},
                image=self.image,
            )
            async with self.backend.box(spec) as box:
                await _must(box, " ".join(["mkdir -p", *(f"{LOGS_HOME}/{name}" for name in LOGS)]))
                yield box


def snapshots(box: Sandbox) -> Snapshots:
    """The box as something that can be copied; every backend of agentsd gives such boxes."""
    assert isinstance(box, Snapshots)
    return box


async def shell_of(box: Sandbox) -> str:
    """``bash`` where the box has it, else ``sh``."""
    result = await box.exec(["sh", "-c", "command -v bash"], timeout_s=SETUP_S)
    return "bash" if result.exit_code == 0 else "sh"


def script_argv(script: str, first_line: str) -> list[str]:
    """How to run a script that may not be executable: by the interpreter that it names.

    >>> script_argv("/tests/test.sh", "#!/bin/bash -e")
    ['/bin/bash', '-e', '/tests/test.sh']
    >>> script_argv("/tests/test.sh", "#!/usr/bin/env bash")
    ['bash', '/tests/test.sh']
    """
    words = shlex.split(first_line[2:]) if first_line.startswith("#!") else []
    if len(words) > 1 and words[0].endswith("/env") and not words[1].startswith("-"):
        words = words[1:]  # small images have no /usr/bin/env
    return [*(words or ["sh"]), script]


async def _must(box: Sandbox, command: str) -> None:
    """Run a command of ours. Raises ``InfraError`` when it fails."""
    result = await box.exec(["sh", "-c", command], timeout_s=SETUP_S)
    if result.exit_code != 0:
        said = result.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit code {result.exit_code}"
        raise InfraError(f"setting up the box failed: {command}: {reason}")


@contextlib.contextmanager
def _logs_folder() -> Iterator[Path]:
    """A folder of links, to be mounted as ``/logs``."""
    with tempfile.TemporaryDirectory(prefix="agentsd-logs-") as folder:
        for name in LOGS:
            (Path(folder) / name).symlink_to(f"{LOGS_HOME}/{name}")
        Path(folder).chmod(0o755)  # the box's user is not ours
        yield Path(folder)
