"""One Docker daemon: the SDK's calls in bounded threads, and its raw streams.

The only module that knows the ``docker`` package. Knows nothing of boxes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from agentsd.errors import ConfigError, InfraError

if TYPE_CHECKING:
    from docker import APIClient

T = TypeVar("T")
DEFAULT_URL = "unix:///var/run/docker.sock"
MAX_CALLS = 16
"""SDK calls at once; each blocks a thread."""
CALL_TIMEOUT_S = 60
MAX_HEADER_BYTES = 65536
MISSING_SDK = "the docker package is not installed; run: pip install 'agentsd[docker]'"


class DaemonRefusedError(InfraError):
    """The daemon answered with an error. ``status`` is that of HTTP."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"docker daemon: {explanation} (HTTP {status})")
        self.status = status
        self.explanation = explanation


@dataclass(frozen=True, slots=True)
class Address:
    """Where the daemon listens: a socket's path, or a host and a port."""

    path: str = ""
    host: str = ""
    port: int = 0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection. Raises ``OSError``."""
        if self.path:
            return await asyncio.open_unix_connection(self.path)
        return await asyncio.open_connection(self.host, self.port)

    def knock(self) -> None:
        """Connect once and hang up. Raises ``OSError``."""
        if not self.path:
            socket.create_connection((self.host, self.port), CALL_TIMEOUT_S).close()
            return
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(CALL_TIMEOUT_S)
            knocking.connect(self.path)


def address_of(url: str) -> Address:
    """Read ``unix:///PATH`` or ``tcp://HOST:PORT``. Raises ``ConfigError`` for anything else."""
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return Address(path=parts.path)
    if parts.scheme in ("tcp", "http") and parts.hostname and parts.port:
        return Address(host=parts.hostname, port=parts.port)
    raise ConfigError(
        f"docker host {url!r} is neither unix:///PATH nor tcp://HOST:PORT; for a daemon behind ssh "
        "or TLS forward its socket: ssh -L /tmp/docker.sock:/var/run/docker.sock HOST"
    )


class Daemon:
    """Talks to the daemon at ``url``; by default ``DOCKER_HOST`` or the system's socket.

    Raises ``ConfigError`` for a missing SDK or an address it cannot use. Connects on first use.
    """

    def __init__(self, url: str | None = None) -> None:
        if importlib.util.find_spec("docker") is None:
            raise ConfigError(MISSING_SDK)
        self.url = url or os.environ.get("DOCKER_HOST") or DEFAULT_URL
        self._address = address_of(self.url)
        self._limiter = anyio.CapacityLimiter(MAX_CALLS)
        self._connecting = threading.Lock()
        self._client: APIClient | None = None

    async def call(self, function: Callable[[APIClient], T]) -> T:
        """Run ``function`` in a thread; it goes on there when the caller is cancelled.

        Raises ``DaemonRefusedError``, or ``InfraError`` for a daemon that cannot be reached.
        """
        return await anyio.to_thread.run_sync(
            self._call, function, abandon_on_cancel=True, limiter=self._limiter
        )

    def _call(self, function: Callable[[APIClient], T]) -> T:
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        try:
            return function(self._connected())
        except APIError as error:
            explanation = str(error.explanation or error).strip()
            raise DaemonRefusedError(error.status_code or 0, explanation) from error
        except (DockerException, RequestException, OSError) as error:
            raise InfraError(f"docker daemon at {self.url}: {first_line(error)}") from error

    def _connected(self) -> APIClient:
        from docker import APIClient

        with self._connecting:
            if self._client is None:
                self._address.knock()  # the SDK leaks the socket of a connection that fails
                self._client = APIClient(
                    base_url=self.url,
                    version="auto",
                    timeout=CALL_TIMEOUT_S,
                    num_pools=MAX_CALLS,
                    max_pool_size=MAX_CALLS,
                )
            return self._client

    async def hijack(
        self, path: str, body: Mapping[str, Any]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Post ``body`` and take over the connection: what follows is the process's streams.

        The SDK does the same, but may swallow what arrives together with the answer's header.
        Raises as ``call`` does.
        """
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        try:
            reader, writer = await self._address.connect()
        except OSError as error:
            raise InfraError(f"docker daemon at {self.url}: {first_line(error)}") from error
        try:
            writer.write(head.encode() + data)
            await self._accepted(reader)
        except BaseException:
            writer.close()
            raise
        return reader, writer

    async def _accepted(self, reader: asyncio.StreamReader) -> None:
        """Read the answer's header. Raises ``InfraError`` unless the streams are ours now."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                header = await reader.readuntil(b"\r\n\r\n")
                status = int(header.split(maxsplit=2)[1])
                if status in (101, 200):
                    return
                text = (await reader.read(MAX_HEADER_BYTES)).decode(errors="replace")
        except (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
            raise InfraError(f"docker daemon at {self.url}: {first_line(error)}") from error
        raise DaemonRefusedError(status, message_in(text))


async def to_the_end(step: Coroutine[Any, Any, T]) -> T:
    """Await a step that must not be torn, such as one whose result has to be removed again.

    A task that is cancelled meanwhile is cancelled after it.
    """
    task = asyncio.create_task(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen: the cancellation goes first
        raise


def message_in(text: str) -> str:
    """The daemon's ``message`` in an error's body, or the body."""
    start, stop = text.find("{"), text.rfind("}")
    try:
        return str(json.loads(text[start : stop + 1])["message"])
    except (ValueError, KeyError):
        return text.strip()


def first_line(error: BaseException) -> str:
    """What went wrong, in one line; an error without words is named."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
