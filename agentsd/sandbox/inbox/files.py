"""Reads, writes, packs and unpacks files in the box, as its user.

Symbolic links lead where they lead inside the box. Only regular files are read and written, and
none of ``/proc``: this process sees there what commands may not. Knows nothing of processes.
"""

from __future__ import annotations

import errno
import os
import stat

from agentsd.sandbox.inbox.wire import CHUNK, DONE, Incoming

WORK = "/work"


def read(wire, path, limit):
    """Send the file's bytes. Raises ``OSError``, EFBIG for more than ``limit`` bytes."""
    descriptor = _open(path, os.O_RDONLY)
    with open(descriptor, "rb", buffering=0) as file:
        rest = limit
        while True:
            data = file.read(CHUNK)
            rest -= len(data)
            if rest < 0:
                raise _error(errno.EFBIG)
            if not data:
                break
            wire.write(data)
    wire.reply(DONE)


def write(wire, path):
    """Create or replace the file, and the folders above it. Raises ``OSError``."""
    stream = Incoming(wire)
    try:
        _make_folder(os.path.dirname(_whole(path)))
        descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with open(descriptor, "wb") as file:
            while not stream.is_over:
                file.write(stream.next())
    finally:
        stream.drain()
    wire.reply(DONE)


def _whole(path):
    """The path from the root. Raises ``OSError`` for what is no path."""
    if not path:
        raise _error(errno.ENOENT)
    if b"\0" in path:
        raise _error(errno.EINVAL)
    return os.path.join(WORK, os.fsdecode(path))


def _make_folder(folder):
    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError:  # a file is in the way; ``open`` would call it so
        raise _error(errno.ENOTDIR) from None


def _open(path, flags):
    """A descriptor of a regular file. Never waits for the other end of a pipe."""
    flags |= os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(_whole(path), flags, 0o666)
    try:
        info = os.fstat(descriptor)
        if stat.S_ISDIR(info.st_mode):
            raise _error(errno.EISDIR)
        if info.st_dev == os.stat("/proc").st_dev:
            raise _error(errno.EACCES)
        if not stat.S_ISREG(info.st_mode):
            raise _error(errno.EINVAL)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _error(number):
    return OSError(number, os.strerror(number))


def snapshot(wire):
    """Send the working directory as a tar archive: modes, times, links, empty folders."""
    import tarfile  # many boxes never need it, and it would cost a fifth of their start

    opened = []
    try:
        with tarfile.open(
            fileobj=wire, mode="w|", bufsize=CHUNK, format=tarfile.PAX_FORMAT
        ) as archive:
            _pack(archive, opened)
    finally:
        for path, mode in reversed(opened):
            os.chmod(path, mode)
    wire.reply(DONE)


def _pack(archive, opened):
    """Add the working directory. ``opened`` collects the modes of what had to be made readable."""
    pending = [(WORK, ".")]
    while pending:
        path, name = pending.pop()
        info = archive.gettarinfo(path, name)
        if info is None:  # a socket, which means nothing without its process
            continue
        missing = (0o700 if info.isdir() else 0o400 if info.isreg() else 0) & ~info.mode
        if missing:
            opened.append((path, info.mode))
            os.chmod(path, info.mode | missing)
        if info.isreg():
            with open(path, "rb") as file:
                archive.addfile(info, file)
        else:
            archive.addfile(info)
        if info.isdir():
            names = sorted(os.listdir(path), reverse=True)
            pending += [(f"{path}/{entry}", f"{name}/{entry}") for entry in names]


def restore(wire):
    """Make the working directory what the archive on the wire holds. Raises ``OSError``."""
    import tarfile  # see ``snapshot``

    stream = Incoming(wire)
    options = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:  # pyright: ignore
            _empty(WORK)
            archive.extractall(WORK, **options)
    except tarfile.TarError as error:
        raise OSError(errno.EBADMSG, str(error)) from None
    finally:
        stream.drain()
    wire.reply(DONE)


def _empty(top):
    """Remove all that is below ``top``, however deep and whatever its modes.

    Folders are moved up before they are emptied, so no path is longer than two names.
    """
    mark, count = f".gone-{os.urandom(8).hex()}", 0
    os.chmod(top, 0o700)
    pending = [entry.path for entry in os.scandir(top)]
    while pending:
        path = pending.pop()
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            continue
        os.chmod(path, 0o700)
        for entry in list(os.scandir(path)):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            count += 1
            moved = os.path.join(top, f"{mark}-{count}")
            os.rename(entry.path, moved)
            pending.append(moved)
        os.rmdir(path)
