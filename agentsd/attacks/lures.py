"""What lies on the host for an attack to find, and whether it was found.

Everything is made for one attack and removed after it: files in ``/tmp`` and ``/dev/shm``,
listeners on the loopback address, an environment variable, an inheritable descriptor and a process
with the secret in its command line. Knows nothing of boxes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agentsd.attacks.inside import Bait
from agentsd.boxes import BoxLimits

SHM = Path("/dev/shm")


@dataclass(slots=True)
class Lures:
    """The bait of one attack."""

    secret: bytes
    folder: Path
    shm: Path
    key: int
    hits: list[str] = field(default_factory=list[str])
    """Listeners that were reached."""
    ports: dict[str, int] = field(default_factory=dict[str, int])
    process: asyncio.subprocess.Process | None = None

    @property
    def marker(self) -> Path:
        """The host file that attacks are after."""
        return self.folder / "marker"

    @property
    def abstract(self) -> str:
        """Name of the abstract unix socket."""
        return f"agentsd-bait-{self.key}"

    def bait(self, limits: BoxLimits, residents: tuple[int, ...]) -> Bait:
        """What the payload is told."""
        return Bait(
            marker=str(self.marker),
            shm=str(self.shm),
            **self.ports,
            abstract=self.abstract,
            socket=str(self.folder / "socket"),
            pid=self.process.pid if self.process else 0,
            pid_namespace=os.readlink("/proc/self/ns/pid"),
            residents=residents,
            key=self.key,
            memory_bytes=limits.memory_bytes,
            workdir_bytes=limits.workdir_bytes,
            num_files=limits.num_files,
            num_processes=limits.num_processes,
            cpus=limits.cpus,
            output_bytes=limits.output_bytes,
        )

    def harm(self, seen: bytes) -> Iterator[str]:
        """Every way in which the attack reached the host; ``seen`` is all that came out."""
        if self.secret in seen:
            yield "the secret of the host came out of the box"
        if self.marker.read_bytes() != self.secret or self.shm.read_bytes() != self.secret:
            yield "a file of the host was changed"
        if sorted(os.listdir(self.folder)) != ["marker", "socket"]:
            yield "a folder of the host was changed"
        if self.process and self.process.returncode is not None:
            yield "a process of the host was killed"
        if self.hits:
            yield f"a listener of the host was reached: {', '.join(sorted(set(self.hits)))}"


@contextlib.asynccontextmanager
async def lay_lures() -> AsyncIterator[Lures]:
    """Lay everything out, and clear it away. Raises ``OSError`` where the host has no room."""
    secret = secrets.token_hex(16).encode()
    key = secrets.randbelow(2**30) + 1
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="agentsd-bait-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder)
        shm = (SHM if SHM.is_dir() else folder.parent) / f"agentsd-bait-{key}"
        lures = Lures(secret, folder, shm, key)
        stack.callback(shm.unlink)
        # Open to everyone: what stops the attack must be the box, not the file's owner.
        folder.chmod(0o755)
        for path in (lures.marker, shm):
            path.write_bytes(secret)
            path.chmod(0o666)
        stack.enter_context(_leaks_of_this_process(lures))
        await stack.enter_async_context(_listeners(lures))
        lures.process = await stack.enter_async_context(_process(secret.decode()))
        yield lures


@contextlib.contextmanager
def _leaks_of_this_process(lures: Lures) -> Iterator[None]:
    """Carelessness that a backend must make up for: an inheritable file and a secret variable."""
    variable = f"AGENTSD_BAIT_{lures.key}"
    descriptor = os.open(lures.marker, os.O_RDONLY)
    try:
        os.set_inheritable(descriptor, True)
        os.environ[variable] = lures.secret.decode()
        yield
    finally:
        del os.environ[variable]
        os.close(descriptor)


@contextlib.asynccontextmanager
async def _process(secret: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of the host that waits, with the secret in its command line."""
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", "read line", secret, stdin=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class _Datagrams(asyncio.DatagramProtocol):
    """Notes that a datagram came."""

    def __init__(self, note: Callable[[], None]) -> None:
        self.note = note

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.note()


@contextlib.asynccontextmanager
async def _listeners(lures: Lures) -> AsyncIterator[None]:
    """Listeners on the loopback address and on unix sockets; every contact is noted."""

    def noting(what: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            lures.hits.append(what)
            writer.close()

        return note

    loop = asyncio.get_running_loop()
    path = lures.folder / "socket"
    servers = [
        await asyncio.start_server(noting("tcp4"), "127.0.0.1", 0),
        await asyncio.start_unix_server(noting("abstract socket"), "\0" + lures.abstract),
        await asyncio.start_unix_server(noting("unix socket"), path),
    ]
    path.chmod(0o666)
    lures.ports["tcp4"] = servers[0].sockets[0].getsockname()[1]
    lures.ports["tcp6"] = 0
    with contextlib.suppress(OSError):  # a host without IPv6
        servers.append(await asyncio.start_server(noting("tcp6"), "::1", 0))
        lures.ports["tcp6"] = servers[-1].sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(lambda: lures.hits.append("udp")), local_addr=("127.0.0.1", 0)
    )
    lures.ports["udp"] = transport.get_extra_info("sockname")[1]
    try:
        yield
    finally:
        transport.close()
        for server in servers:
            server.close()
            await server.wait_closed()
