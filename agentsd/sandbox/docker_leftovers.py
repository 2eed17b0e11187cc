"""What earlier runs left at a Docker daemon, found by nothing but the label of their run."""

from __future__ import annotations

from collections.abc import Sequence

from agentsd.sandbox.docker_api import Daemon, DaemonRefusedError
from agentsd.sandbox.docker_container import CONFLICT, GONE
from agentsd.sandbox.docker_options import BUILDER_LABEL, RUN_LABEL


async def remove_left_over(
    run: str, *, base_url: str | None = None, with_images: bool = False
) -> list[str]:
    """Remove the containers and volumes of ``run``, and the images it built if asked to.

    Returns what was removed. Images that another run's box still uses stay. Raises ``ConfigError``
    without the SDK, ``InfraError`` for a daemon that cannot be reached.
    """
    daemon = Daemon(base_url)
    filters = {"label": f"{RUN_LABEL}={run}"}
    containers = await daemon.call(lambda api: api.containers(all=True, filters=filters))
    removed = [await _container(daemon, found["Id"]) for found in containers]
    volumes = await daemon.call(lambda api: api.volumes(filters=filters))
    removed += [await _volume(daemon, found["Name"]) for found in volumes["Volumes"] or ()]
    if with_images:
        built = {"label": f"{BUILDER_LABEL}={run}"}
        images = await daemon.call(lambda api: api.images(filters=built))
        removed += [await _image(daemon, found["Id"], found["RepoTags"]) for found in images]
    return [name for name in removed if name]


async def _container(daemon: Daemon, container_id: str) -> str:
    try:
        await daemon.call(lambda api: api.remove_container(container_id, v=True, force=True))
    except DaemonRefusedError as error:
        if error.status not in (GONE, CONFLICT):
            raise
        return ""
    return f"container {container_id[:12]}"


async def _volume(daemon: Daemon, name: str) -> str:
    try:
        await daemon.call(lambda api: api.remove_volume(name))
    except DaemonRefusedError as error:
        if error.status not in (GONE, CONFLICT):
            raise
        return ""
    return f"volume {name[:12]}"


async def _image(daemon: Daemon, image_id: str, names: Sequence[str] | None) -> str:
    try:
        await daemon.call(lambda api: api.remove_image(image_id, force=False))
    except DaemonRefusedError as error:
        if error.status not in (GONE, CONFLICT):
            raise
        return ""
    return f"image {(names or [image_id])[0]}"
