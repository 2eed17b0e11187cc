"""The host's end of a box's socket: one request at a time, and never out of step.

What the box sends is not trusted: kinds and lengths are checked, and more than was allowed breaks
the connection. A request that is cancelled is settled before the next one begins. Knows nothing of
how a box is started.
"""

from __future__ import annotations

import asyncio
import marshal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio

from agentsd.errors import InfraError
from agentsd.sandbox.inbox.wire import BROKEN, DATA, DONE, ERRNO, ERROR, FRAME, LENGTH

SETTLE_S = 4.0
"""How long the box may take to answer after its command was cancelled."""
PIECE = 1 << 18
DIED = "the box died: "


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of one request. Exactly one of ``error`` and ``result`` means something."""

    result: bytes = b""
    data: bytes = b""
    """All pieces that came before the result."""
    error: OSError | None = None


class BoxClient:
    """Asks the server of one box. Broken for good once a reply is late, wrong or missing."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        why_it_died: Callable[[], str],
    ) -> None:
        self._reader, self._writer = reader, writer
        self._why_it_died = why_it_died
        self._turn = asyncio.Lock()
        self._broken = ""

    async def ask(
        self, request: tuple[Any, ...], *, body: bytes | None = None, seconds: float, limit: int
    ) -> Reply:
        """Send a request, with a stream of data where it has one, and wait for its end.

        ``limit`` bounds what the box may send, in bytes. Raises ``InfraError`` when the box died,
        broke its word or did not answer within ``seconds``.
        """
        async with self._turn:
            if self._broken:
                raise InfraError(self._broken)
            receipt = _Receipt(limit)
            try:
                async with asyncio.timeout(seconds):
                    self._send(request, body)
                    return await self._receive(receipt)
            except TimeoutError:
                raise self._break(f"the box did not answer within {seconds:g} s") from None
            except asyncio.CancelledError:
                await self._settle(receipt)
                raise

    async def close(self) -> None:
        """Hang up, which ends the box. Idempotent."""
        self._broken = self._broken or "the box is closed"
        self._writer.transport.abort()
        with anyio.CancelScope(shield=True), suppress(ConnectionError):
            await self._writer.wait_closed()

    def _send(self, request: tuple[Any, ...], body: bytes | None) -> None:
        """All at once, so that cancellation cannot leave half a frame."""
        frames = [marshal.dumps(request, 2)]
        if body is not None:
            view = memoryview(body)
            frames += [bytes(view[at : at + PIECE]) for at in range(0, len(body), PIECE)] + [b""]
        for frame in frames:
            self._writer.write(LENGTH.pack(len(frame)) + frame)

    async def _settle(self, receipt: _Receipt) -> None:
        """Kill the command that nobody waits for and take its reply off the wire."""
        with anyio.move_on_after(SETTLE_S, shield=True):
            try:
                self._send(("kill",), None)
                await self._receive(receipt)
            except InfraError:
                return  # the box is marked as broken; the next request says so
            return
        self._break("the box did not settle after a request was cancelled")

    async def _receive(self, receipt: _Receipt) -> Reply:
        """Read on until the reply is whole; may be called again after it was cancelled."""
        try:
            while True:
                if receipt.kind is None:
                    kind, length = FRAME.unpack(await self._reader.readexactly(FRAME.size))
                    receipt.expect(kind, length)
                payload = await self._reader.readexactly(receipt.length)
                if reply := receipt.take(payload):
                    return reply
        except (asyncio.IncompleteReadError, ConnectionError):
            raise self._break(DIED + self._why_it_died()) from None
        except _Broken as error:
            raise self._break(f"the box is broken: {error}") from None

    def _break(self, reason: str) -> InfraError:
        self._broken = reason
        self._writer.transport.abort()
        return InfraError(reason)


class _Broken(Exception):
    """The box said something that its server never says, or that it cannot go on."""


class _Receipt:
    """What of a reply has arrived."""

    def __init__(self, limit: int) -> None:
        self.kind: bytes | None = None
        self.length = 0
        self._room = limit
        self._pieces: list[bytes] = []

    def expect(self, kind: bytes, length: int) -> None:
        """Note the head of a frame."""
        if kind not in (DATA, DONE, ERROR, BROKEN) or length > self._room:
            raise _Broken(f"unexpected reply {kind!r} of {length} bytes")
        self._room -= length
        self.kind, self.length = kind, length

    def take(self, payload: bytes) -> Reply | None:
        """Note a frame's payload; the reply if that was the last frame."""
        kind, self.kind = self.kind, None
        if kind == DATA:
            self._pieces.append(payload)
            return None
        if kind == BROKEN:
            raise _Broken(payload.decode(errors="replace"))
        if kind == DONE:
            return Reply(result=payload, data=b"".join(self._pieces))
        if len(payload) < ERRNO.size:
            raise _Broken("an error without a number")
        (number,) = ERRNO.unpack(payload[: ERRNO.size])
        return Reply(error=OSError(number, payload[ERRNO.size :].decode(errors="replace")))
