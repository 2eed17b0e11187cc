"""Boxes in Docker containers: one container an episode, gone with its episode.

The container has no network, a read-only root, no capability and no way to gain one; its working
directory and ``/tmp`` are of fixed size in memory. It ends with the connection of the process that
opened it, so that a killed process leaves nothing, and after ``lifetime_s`` in any case. Knows
nothing of tools or environments.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio

from agentsd.boxes import BoxSpec, Probe
from agentsd.errors import ConfigError, InfraError
from agentsd.sandbox.docker_api import MISSING_SDK, Daemon, DaemonRefusedError
from agentsd.sandbox.docker_box import DockerBox
from agentsd.sandbox.docker_container import Container
from agentsd.sandbox.docker_images import build_image, check_shell, host_python_image, named_image
from agentsd.sandbox.docker_options import container_config
from agentsd.sandbox.docker_seccomp import seccomp_profile

LIFETIME_S = 4 * 3600.0
MAX_STARTING = 4
PROBE_S = 60.0
START_FIX = "start the daemon (systemctl start docker), or set DOCKER_HOST to its socket"
PODMAN = (
    "this is podman, whose Docker API drops the size of a box's working directory (seen with "
    "4.3.1): the box would not be limited; use a Docker daemon, or the bwrap sandbox"
)
CHECK = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status"
CLOSED = {"CapEff": "0000000000000000", "CapBnd": "0000000000000000"}
CLOSED |= {"NoNewPrivs": "1", "Seccomp": "2"}


class DockerBackend:
    """Opens boxes at the daemon of ``base_url``. Implements ``SandboxBackend``.

    ``base_url`` is ``unix:///PATH`` or ``tcp://HOST:PORT``; None means ``DOCKER_HOST``, else the
    system's socket. Raises ``ConfigError`` without the SDK.
    """

    def __init__(self, base_url: str | None = None, *, lifetime_s: float = LIFETIME_S) -> None:
        self._daemon = Daemon(base_url)
        self._lifetime_s = lifetime_s
        self._preparing = anyio.Lock()
        self._starting = anyio.CapacityLimiter(MAX_STARTING)
        self._host_image: str | None = None
        self._profile: str | None = None
        self._images_with_shell: set[str] = set()

    async def probe(self) -> Probe:
        """See ``SandboxBackend.probe``: opens a box and looks at its own status in it."""
        try:
            version = await self._daemon.call(lambda api: api.version())
            info = await self._daemon.call(lambda api: api.info())
            async with self.box(BoxSpec()) as box:
                status = await box.exec(["/bin/sh", "-c", CHECK], timeout_s=PROBE_S)
        except (ConfigError, InfraError) as error:
            return Probe("docker", works=False, detail=str(error), fix=_fix_of(error))
        if status.is_timeout:
            detail = f"a box's first command took more than {PROBE_S:g} s"
            return Probe("docker", works=False, detail=detail, fix="free the machine; try again")
        found = dict(line.split(":\t") for line in status.stdout.decode().splitlines())
        if found != CLOSED:
            fix = "use an engine that was built with seccomp"
            return Probe("docker", works=False, detail=f"a box is not closed: {found}", fix=fix)
        return Probe("docker", works=True, detail=_describe(version, info))

    @contextlib.asynccontextmanager
    async def box(self, spec: BoxSpec) -> AsyncIterator[DockerBox]:
        """See ``SandboxBackend.box``. ``spec.image`` None means ``host_python_image``."""
        profile = await self._seccomp()
        image = await named_image(
            self._daemon, spec.image or await self.host_python_image(spec.run)
        )
        if image.id not in self._images_with_shell:
            await check_shell(self._daemon, image)
            self._images_with_shell.add(image.id)
        config = container_config(
            spec,
            image.id,
            volumes=image.volumes,
            profile=profile,
            lifetime_s=self._lifetime_s,
        )
        container = Container(self._daemon, config, self._starting)
        await container.open()
        box = DockerBox(self._daemon, container, spec.limits)
        try:
            yield box
        finally:
            box.close()
            await container.close()

    async def host_python_image(self, run: str = "default") -> str:
        """The name of an image of this host's Python; see ``docker_images``."""
        async with self._preparing:
            if self._host_image is None:
                self._host_image = await host_python_image(self._daemon, run)
            return self._host_image

    async def build_image(self, folder: Path, run: str = "default") -> str:
        """Build the ``Dockerfile`` of ``folder``. Returns a name for ``BoxSpec.image``."""
        return await build_image(self._daemon, folder, run)

    async def _seccomp(self) -> str:
        """The profile for the daemon's architecture. Raises ``ConfigError`` for podman."""
        if self._profile is None:
            version = await self._daemon.call(lambda api: api.version())
            if any("Podman" in part["Name"] for part in version.get("Components") or ()):
                raise ConfigError(PODMAN)
            info = await self._daemon.call(lambda api: api.info())
            self._profile = seccomp_profile(info["Architecture"])
        return self._profile


def _describe(version: dict[str, Any], info: dict[str, Any]) -> str:
    """The engine, and which limits it cannot hold."""
    limits = {"MemoryLimit": "memory", "PidsLimit": "processes", "CpuCfsQuota": "CPU"}
    unlimited = [name for key, name in limits.items() if not info.get(key, True)]
    engine = f"engine {version.get('Version')}, API {version.get('ApiVersion')}"
    closed = "no network, read-only root, no capabilities, seccomp allow-list"
    return f"{engine}: {closed}" + (f"; NOT limited: {', '.join(unlimited)}" if unlimited else "")


def _fix_of(error: Exception) -> str:
    if str(error) == MISSING_SDK:
        return "pip install 'agentsd[docker]'"
    if isinstance(error, InfraError) and not isinstance(error, DaemonRefusedError):
        return START_FIX
    return "see the message; run docker info"
