"""Images of Harbor tasks, changed so that they work in a box whose root cannot be written.

The task's working directory becomes a link to ``/work``, and what the image keeps there is laid
aside, to be copied into ``/work`` of every box. So the task's own paths stay true. Knows nothing of
episodes.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from agentsd.errors import ConfigError
from agentsd.sandbox.docker import DockerBackend
from agentsd_envs.harbor.folder import TaskFolder
from agentsd_envs.harbor.rooms import SEED

MOVE_WORKDIR = f"""
USER root
{{workdir}}
RUN here="$(pwd -P)"; mkdir -p {SEED}; if [ "$here" != / ]; then \\
  cp -a "$here/." {SEED}/ && chmod -R a+rwX {SEED} && cd / && rm -rf "$here" && \\
  {{{{ [ "$here" = /work ] || ln -s /work "$here"; }}}}; fi; mkdir -p /work
WORKDIR /work
"""
"""Added to the task's Dockerfile. The files are opened to the user of the box, who is not root."""


async def image_of(folder: TaskFolder, docker: DockerBackend) -> str:
    """Build the image of a task; quick when it was built before. Raises ``ConfigError`` with the
    last line of a build that fails."""
    with tempfile.TemporaryDirectory(prefix="agentsd-harbor-") as made:
        context = Path(made, "context")
        await asyncio.to_thread(_write_context, folder, context)
        try:
            return await docker.build_image(context)
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(context), str(folder.environment))) from error


def _write_context(folder: TaskFolder, context: Path) -> None:
    """The task's build context with the longer Dockerfile."""
    prebuilt = folder.toml.environment.docker_image
    if prebuilt is not None:
        context.mkdir()
        dockerfile = f"FROM {prebuilt}\n"
    else:
        shutil.copytree(folder.environment, context, symlinks=True)
        dockerfile = (context / "Dockerfile").read_text(encoding="utf-8")
    workdir = folder.toml.environment.workdir
    tail = MOVE_WORKDIR.format(workdir=f"WORKDIR {workdir}" if workdir else "")
    (context / "Dockerfile").write_text(f"{dockerfile}\n{tail}", encoding="utf-8")
