"""What a box promises about ``read`` and ``write``. Knows nothing of any backend."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator

from agentsd.boxes import MIB, BoxLimits, BoxSpec
from agentsd.sandbox_checks.check import RUN, Subject, differs, python, raised_by, shell

ODD_NAMES = ("a b", "-rf", "--", "grüße", "new\nline", "'\"\\$HOME`", "*", ".hidden", "x" * 200)


async def round_trip(subject: Subject) -> AsyncIterator[str]:
    """What was written is read, to the byte, under any name"""
    async with subject.box() as box:
        contents = (b"", b"\0", bytes(range(256)) * 40, b"\r\n" * 9, b"x" * (5 * MIB))
        for number, data in enumerate(contents):
            await box.write("same", data)
            if await box.read("/work/same") != data:
                yield f"content {number}, {len(data)} bytes, comes back changed"
        for name in (*ODD_NAMES, "deep/er/and/deeper", "./dotted/../plain"):
            await box.write(name, name.encode())
            if await box.read(name) != name.encode():
                yield f"the file {name!r} comes back changed"


async def shared_with_commands(subject: Subject) -> AsyncIterator[str]:
    """A command finds what the host wrote, may change it, and the host finds that"""
    async with subject.box() as box:
        await box.write("folder/file", b"host")
        result = await shell(box, "cat folder/file && printf box > folder/file && touch folder/new")
        if problem := differs("what the command read", result.stdout, b"host"):
            yield problem
        if problem := differs("what the host read", await box.read("folder/file"), b"box"):
            yield problem
        await box.write("folder/file", b"again")
        result = await shell(box, "cat folder/file && rm -r folder && ls -A")
        if problem := differs("what the command read", result.stdout, b"again"):
            yield problem
        await python(box, "open('large', 'wb').write(bytes(10_000_000))")
        if len(await box.read("large")) != 10_000_000:
            yield "a file of 10 MB comes back shorter"


async def errors_of_read(subject: Subject) -> AsyncIterator[str]:
    """Errors are those of ``open``"""
    async with subject.box() as box:
        await shell(box, "mkdir folder; touch file; ln -s loop loop; ln -s gone link; mkfifo pipe")
        await shell(box, "touch closed; chmod 0 closed")
        wanted: dict[str, type[OSError]] = {
            "missing": FileNotFoundError,
            "no/such/folder": FileNotFoundError,
            "link": FileNotFoundError,
            "": FileNotFoundError,
            "folder": IsADirectoryError,
            "/": IsADirectoryError,
            "file/below": NotADirectoryError,
            "closed": PermissionError,
            "loop": OSError,
            "pipe": OSError,
            "x" * 300: OSError,
        }
        for path, kind in wanted.items():
            error = await raised_by(box.read(path))
            if not isinstance(error, kind):
                yield f"read({path[:20]!r}) must raise {kind.__name__}, got {error!r}"
        if (await shell(box, "exit 3")).exit_code != 3:
            yield "the box no longer works afterwards"


async def errors_of_write(subject: Subject) -> AsyncIterator[str]:
    """Errors are those of ``open``, and a full disk is one"""
    limits = BoxLimits(workdir_bytes=16 * MIB)
    async with subject.box(BoxSpec(limits=limits, run=RUN)) as box:
        await shell(box, "mkdir folder; touch file")
        wanted: dict[str, type[OSError]] = {
            "folder": IsADirectoryError,
            "file/below": NotADirectoryError,
            "/usr/bin/agentsd-check": OSError,
            "": OSError,
        }
        for path, kind in wanted.items():
            error = await raised_by(box.write(path, b"x"))
            if not isinstance(error, kind):
                yield f"write({path!r}) must raise {kind.__name__}, got {error!r}"
        error = await raised_by(box.write("large", b"x" * (24 * MIB)))
        if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EFBIG):
            yield f"24 MiB into a workdir of 16 MiB must raise ENOSPC, got {error!r}"
        await shell(box, "rm -f large")
        await box.write("after", b"x")
        if await box.read("after") != b"x":
            yield "the box no longer works afterwards"
