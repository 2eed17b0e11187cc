"""What crashed runs left behind in every kind of sandbox, found by the label of their run.

Never looks for a prefix, and never removes what has no label. Knows nothing of live runs: a run
that is still going loses its boxes too.
"""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import dataclass

from agentsd.errors import ConfigError, InfraError
from agentsd.sandbox import cgroups, docker_leftovers


@dataclass(frozen=True, slots=True)
class Swept:
    """What was removed, one line each, and which sandboxes could not be looked at."""

    removed: tuple[str, ...]
    notes: tuple[str, ...]


async def sweep(run: str, *, base_url: str | None = None, with_images: bool = False) -> Swept:
    """Remove what ``run`` left: boxes' control groups, containers, volumes, images if asked to.

    Raises ``ConfigError`` for an empty label.
    """
    if not run:
        raise ConfigError("agentsd gc needs the label of a run; the default label is 'default'")
    num_groups = await asyncio.to_thread(cgroups.remove_left_over, run)
    removed = [f"{num_groups} control groups of bwrap boxes"] if num_groups else []
    notes = []
    if importlib.util.find_spec("docker") is None:
        notes.append("docker: not looked at, the docker package is not installed")
    else:
        try:
            removed += await docker_leftovers.remove_left_over(
                run, base_url=base_url, with_images=with_images
            )
        except InfraError as error:
            notes.append(f"docker: not looked at, {error}")
    return Swept(tuple(removed), tuple(notes))
