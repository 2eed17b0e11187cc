"""Frames between the box and the host. Knows nothing of what they ask for.

The host is trusted and writes tuples with ``marshal``, which costs no import; the box is not, so
its replies are plain bytes: a kind, a length, the payload.
"""

from __future__ import annotations

import marshal
import os
import struct

LENGTH = struct.Struct("!Q")
FRAME = struct.Struct("!cQ")
RESULT = struct.Struct("!i?QdQ")
"""Exit code, whether the deadline passed, bytes thrown away, seconds, length of stdout."""
ERRNO = struct.Struct("!i")
CHUNK = 1 << 18

DATA, DONE, ERROR, BROKEN = b"d", b"r", b"e", b"f"
"""Kinds of replies: a piece of data; the result; an errno and text; why the box cannot go on."""


class Gone(Exception):
    """The host hung up."""


class Wire:
    """The box's end of the socket."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def request(self):
        """The next request, a tuple that begins with its name. Raises ``Gone``."""
        return marshal.loads(self.chunk())

    def chunk(self):
        """The bytes of one frame; an empty one ends a stream."""
        return self._take(LENGTH.unpack(self._take(LENGTH.size))[0])

    def reply(self, kind, *parts):
        """Send one frame."""
        self._send(FRAME.pack(kind, sum(map(len, parts))))
        for part in parts:
            self._send(part)

    def write(self, data):
        """Send a piece of data; ``tarfile`` writes to whatever has this method."""
        self.reply(DATA, data)
        return len(data)

    def _take(self, count):
        parts = []
        while count:
            try:
                part = os.read(self.descriptor, min(count, CHUNK))
            except ConnectionError:
                raise Gone from None
            if not part:
                raise Gone
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _send(self, data):
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.descriptor, view) :]
            except ConnectionError:
                raise Gone from None


class Incoming:
    """A stream of frames that ``tarfile`` reads like a file; ``drain`` keeps the wire in step."""

    def __init__(self, wire):
        self.wire, self.rest, self.is_over = wire, b"", False

    def next(self):
        """The next piece; empty once the stream is over."""
        piece = b"" if self.is_over else self.wire.chunk()
        self.is_over = not piece
        return piece

    def read(self, count):
        """Exactly ``count`` bytes, fewer at the end."""
        parts = [self.rest]
        size = len(self.rest)
        while size < count and not self.is_over:
            parts.append(self.next())
            size += len(parts[-1])
        data = b"".join(parts)
        self.rest = data[count:]
        return data[:count]

    def drain(self):
        """Throw away what is left."""
        while not self.is_over:
            self.next()
