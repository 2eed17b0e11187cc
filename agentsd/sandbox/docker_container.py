"""One running container: opened, held, replaced by a fresh one, removed by its own id.

Knows nothing of the commands that run in it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio

from agentsd.errors import ConfigError, InfraError
from agentsd.sandbox.docker_api import CALL_TIMEOUT_S, Daemon, DaemonRefusedError, to_the_end
from agentsd.sandbox.docker_options import WORKDIR

if TYPE_CHECKING:
    from docker import APIClient

CLOSE_S = 5.0
CHUNK_BYTES = 2**20
GONE, CONFLICT = 404, 409


class Container:
    """Open until ``close``. ``starting`` bounds how many are between made and started.

    A killed process leaves nothing of a started container: it ends with the connection that holds
    it. One that was only made stays, empty and asleep, for ``agentsd gc``.
    """

    def __init__(
        self, daemon: Daemon, config: dict[str, Any], starting: anyio.CapacityLimiter
    ) -> None:
        self.id = ""
        self._daemon = daemon
        self._config = config
        self._starting = starting
        self._holder: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Make and start it. Raises ``ConfigError`` for what the daemon refuses to make."""
        async with self._starting:
            try:
                # A container made while this task is cancelled would else never be removed.
                await to_the_end(self._create())
                path = f"/containers/{self.id}/attach?stream=1&stdin=1"
                _, self._holder = await self._daemon.hijack(path, {})
                await self._start()
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Remove it, with all that runs in it. Idempotent, and bounded in time."""
        container_id, self.id = self.id, ""
        if self._holder is not None:
            self._holder.close()
        if not container_id:
            return
        with anyio.move_on_after(CLOSE_S, shield=True):
            try:
                await self._daemon.call(
                    lambda api: api.remove_container(container_id, v=True, force=True)
                )
            except DaemonRefusedError as error:
                if error.status not in (GONE, CONFLICT):  # a conflict: it is being removed
                    raise

    async def replace(self, most_bytes: int) -> None:
        """Go on with the same working directory in a fresh container, without its processes.

        Frozen first, so that nothing in it can resist. ``/tmp`` is empty afterwards.
        """
        await self._daemon.call(lambda api: api.pause(self.id))
        archive = await self.archive(most_bytes)
        await self.close()
        await self.open()
        await self.unpack(archive)

    async def archive(self, most_bytes: int) -> bytes:
        """The working directory as a tar archive. Raises ``InfraError`` for too large a one."""
        return await self._daemon.call(lambda api: _archive(api, self.id, most_bytes))

    async def unpack(self, archive: bytes) -> None:
        """Add the files of an archive to the working directory, with their owners."""
        await self._daemon.call(lambda api: api.put_archive(self.id, WORKDIR, archive))

    async def _create(self) -> None:
        try:
            made = await self._daemon.call(
                lambda api: api.create_container_from_config(self._config)
            )
            self.id = made["Id"]
        except DaemonRefusedError as error:
            if error.status == 400:
                raise ConfigError(f"docker box: {error.explanation}") from error
            raise

    async def _start(self) -> None:
        try:
            await self._daemon.call(lambda api: api.start(self.id))
        except DaemonRefusedError as error:
            if "docker-init" in error.explanation:
                raise ConfigError("docker engine: docker-init is missing; install tini") from error
            raise


def _archive(api: APIClient, container_id: str, most: int) -> bytes:
    """What the SDK's ``get_archive`` gives, but it hangs up on an archive that is too large.

    Until then the daemon holds the container, and answers nothing else about it.
    """
    url, where = f"{api.base_url}/containers/{container_id}/archive", {"path": f"{WORKDIR}/."}
    data = bytearray()
    with api.get(url, params=where, stream=True, timeout=CALL_TIMEOUT_S) as response:
        response.raise_for_status()
        for chunk in response.iter_content(CHUNK_BYTES):
            data += chunk
            if len(data) > most:
                raise InfraError(f"docker box: the archive of {WORKDIR} exceeds {most} bytes")
    return bytes(data)
