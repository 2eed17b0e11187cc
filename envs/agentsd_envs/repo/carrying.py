"""Carry trees into boxes and out of them. Knows nothing of what the files are."""

from __future__ import annotations

from agentsd.errors import ConfigError, InfraError
from agentsd.interfaces import Sandbox, Snapshots
from agentsd_envs.repo.trees import Files, to_tar

FILL_S = 120.0


async def fill(box: Sandbox, files: Files) -> None:
    """Put files into ``/work``. Raises ``InfraError`` when the box cannot take them."""
    if not files:
        return
    command = ["tar", "-x", "-o", "-f", "-", "-C", "/work"]
    result = await box.exec(command, timeout_s=FILL_S, stdin=to_tar(files))
    if result.exit_code != 0:
        reason = result.stderr.decode(errors="replace").strip()[-200:] or "too late"
        raise InfraError(f"the box cannot take the files of the repository: {reason}")


def snapshots(box: Sandbox) -> Snapshots:
    """The box as something that can be packed. Raises ``ConfigError``."""
    if not isinstance(box, Snapshots):
        raise ConfigError(
            f"repo: boxes of {type(box).__name__} have no snapshots; use bwrap or docker"
        )
    return box
