"""Container images of boxes: named, built from a folder, or made of the host's Python.

Knows the daemon, and nothing of boxes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from agentsd.errors import ConfigError
from agentsd.sandbox.docker_api import Daemon, DaemonRefusedError, to_the_end
from agentsd.sandbox.docker_hostpython import find_host_python, write_root
from agentsd.sandbox.docker_options import BUILDER_LABEL

HOST_IMAGE, BUILT_IMAGE = "agentsd-host-python", "agentsd-built"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOKKEEPING = ("Step ", "--->", "Removing intermediate container", "Successfully ")
"""How the builder's own lines begin."""
BUILD_TIMEOUT_S = 900
"""Between two lines of a build's output."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the daemon holds."""

    id: str
    volumes: tuple[str, ...]
    """Folders that the image wants to be volumes."""


async def named_image(daemon: Daemon, name: str) -> Image:
    """The image of that name or id. Raises ``ConfigError`` when the daemon does not have it."""
    try:
        found = await daemon.call(lambda api: api.inspect_image(name))
    except DaemonRefusedError as error:
        if error.status not in (400, 404):
            raise
        raise ConfigError(f"docker image {name!r} is not here; run: docker pull {name}") from error
    return Image(found["Id"], tuple(found["Config"].get("Volumes") or ()))


async def check_shell(daemon: Daemon, image: Image) -> None:
    """Raise ``ConfigError`` for an image without the shell that every box needs."""
    await to_the_end(_check_shell(daemon, image))


async def _check_shell(daemon: Daemon, image: Image) -> None:
    """Look for the shell in a container that is made and never started."""
    config = {"Image": image.id, "Entrypoint": ["/bin/sh"], "NetworkDisabled": True}
    made = await daemon.call(lambda api: api.create_container_from_config(config))
    try:
        await daemon.call(lambda api: _drop(api.get_archive(made["Id"], "/bin/sh")[0]))
    except DaemonRefusedError as error:
        raise ConfigError(f"docker image {image.id} has no /bin/sh: a box needs it") from error
    finally:
        await daemon.call(lambda api: api.remove_container(made["Id"], v=True))


def _drop(chunks: Iterable[bytes]) -> None:
    """Read to the end, so that the connection is given back."""
    for _ in chunks:
        pass


async def host_python_image(daemon: Daemon, run: str = "default") -> str:
    """The name of the image of this host's Python; built when the daemon does not have it yet.

    Named after its content. Raises ``ConfigError`` where it cannot be built.
    """
    host = await anyio.to_thread.run_sync(find_host_python)
    name = f"{HOST_IMAGE}:{host.fingerprint}"
    if not await _has(daemon, name):
        with tempfile.TemporaryDirectory(prefix="agentsd-image-") as folder:
            path = Path(folder, "root.tar")
            await anyio.to_thread.run_sync(write_root, host, path)
            changes = [f"ENV PATH={PATH}", f'LABEL {BUILDER_LABEL}="{run}"']
            await daemon.call(
                lambda api: api.import_image_from_file(
                    str(path), repository=HOST_IMAGE, tag=host.fingerprint, changes=changes
                )
            )
    return name


async def _has(daemon: Daemon, name: str) -> bool:
    try:
        await daemon.call(lambda api: api.inspect_image(name))
    except DaemonRefusedError as error:
        if error.status != 404:
            raise
        return False
    return True


async def build_image(daemon: Daemon, folder: Path, run: str = "default") -> str:
    """Build the ``Dockerfile`` of ``folder`` without a network. Returns the image's name.

    Raises ``ConfigError`` with the last line of a build that fails.
    """
    if not Path(folder, "Dockerfile").is_file():
        raise ConfigError(f"{folder}: there is no Dockerfile to build an image from")
    try:
        lines = await daemon.call(lambda api: list(_build(api, folder, run)))
    except DaemonRefusedError as error:
        raise ConfigError(f"{folder}: the image cannot be built: {error.explanation}") from error
    image_id = _image_id(folder, lines)
    tag = image_id.removeprefix("sha256:")[:16]
    await daemon.call(lambda api: api.tag(image_id, BUILT_IMAGE, tag))
    return f"{BUILT_IMAGE}:{tag}"


def _build(api: Any, folder: Path, run: str) -> Iterable[dict[str, Any]]:
    return api.build(
        path=str(folder),
        rm=True,
        forcerm=True,
        decode=True,
        network_mode="none",
        labels={BUILDER_LABEL: run},
        timeout=BUILD_TIMEOUT_S,
    )


def _image_id(folder: Path, lines: Sequence[dict[str, Any]]) -> str:
    said = [
        words
        for line in lines
        for words in line.get("stream", "").splitlines()
        if words.strip() and not words.lstrip().startswith(BOOKKEEPING)
    ]
    for line in lines:
        if problem := line.get("error"):
            raise ConfigError(f"{folder}: the image cannot be built: {_last_line(problem, said)}")
        if image_id := line.get("aux", {}).get("ID"):
            return image_id
    raise ConfigError(f"{folder}: the build gave no image; it said: {_last_line('', said)}")


def _last_line(problem: str, said: Sequence[str]) -> str:
    """What went wrong, and the last line that a command of the build wrote."""
    problem = " ".join(problem.split())
    return f"{problem} (it said: {said[-1].strip()})" if said else problem
