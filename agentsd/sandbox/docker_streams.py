"""The two output streams of a process, told apart, capped and drained. Knows no daemon."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field

CHUNK_BYTES = 65536
HEADER_BYTES = 8
STDERR = 2


@dataclass(slots=True)
class Output:
    """What a process has written so far, up to ``limit`` bytes a stream; the rest is counted."""

    limit: int
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    truncated_bytes: int = 0

    def add(self, stream: int, data: bytes) -> None:
        """Keep what fits."""
        kept = self.stderr if stream == STDERR else self.stdout
        room = self.limit - len(kept)
        kept += data[:room]
        self.truncated_bytes += max(0, len(data) - room)


async def drain(reader: asyncio.StreamReader, output: Output) -> None:
    """Read frames until the stream ends or breaks: stream number, three zeros, length, data."""
    while True:
        try:
            header = await reader.readexactly(HEADER_BYTES)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        stream, left = struct.unpack(">BxxxL", header)
        while left:
            try:
                data = await reader.readexactly(min(left, CHUNK_BYTES))
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            output.add(stream, data)
            left -= len(data)


async def feed(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send ``data``, then the end of the file. A process that does not read it is no fault."""
    try:
        for start in range(0, len(data), CHUNK_BYTES):
            writer.write(data[start : start + CHUNK_BYTES])
            await writer.drain()
        writer.write_eof()
        await writer.drain()
    except OSError:
        return
