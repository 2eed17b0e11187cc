"""What a box promises about ``snapshot`` and ``restore``, where it has them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from agentsd.interfaces import Sandbox, Snapshots
from agentsd.sandbox_checks.check import Subject, python, shell

BUILD = """
import os
os.makedirs("a/b/empty")
for name in ("plain", "a b", "-rf", "new\\nline", "gr\\u00fc\\u00dfe", ".hidden", "a/b/deep"):
    open(name, "wb").write(name.encode() * 100)
open(b"not-utf8-\\xff", "wb").write(b"x")
open("large", "wb").write(bytes(range(256)) * 8000)
os.symlink("plain", "link"); os.symlink("/nowhere", "dangling"); os.symlink("a", "folder-link")
for mode in (0o400, 0o600, 0o644, 0o755, 0o711):
    open(f"mode{mode:o}", "w").close(); os.chmod(f"mode{mode:o}", mode)
os.chmod("a/b/empty", 0o700)
for name in ("plain", "large", "a/b/deep"):
    os.utime(name, (1_500_000_000, 1_600_000_000))
"""
SHOW = """
import hashlib, os
for folder, folders, names in os.walk(b"."):
    folders.sort()
    for name in sorted(folders + names):
        path = os.path.join(folder, name); stat = os.lstat(path); extra = b""
        if os.path.islink(path): extra = os.readlink(path)
        elif name in names: extra = hashlib.sha256(open(path, "rb").read()).hexdigest()
        changed = int(stat.st_mtime) if stat.st_mtime == 1_600_000_000 else 0
        print(path, oct(stat.st_mode), stat.st_uid == os.getuid(), changed, extra)
"""
RUIN = (
    "chmod -R u+rwX . ; rm -rf ./* ./.[!.]*; echo new > plain; mkdir -p other/folder; mkdir large"
)


async def _shown(box: Sandbox) -> str:
    result = await python(box, SHOW)
    return (result.stdout + result.stderr).decode(errors="replace")


def _differences(before: str, after: str) -> str:
    lines = sorted(set(before.splitlines()) ^ set(after.splitlines()))
    return "; ".join(line[:100] for line in lines[:4])


async def there_and_back(subject: Subject) -> AsyncIterator[str]:
    """The same tree again, as often as one likes"""
    async with subject.box() as box:
        if not isinstance(box, Snapshots):
            return
        await python(box, BUILD)
        before = await _shown(box)
        snapshot = await box.snapshot()
        if await _shown(box) != before:
            yield "taking a snapshot changes the working directory"
        for attempt in ("first", "second"):
            await shell(box, RUIN)
            await box.restore(snapshot)
            if (after := await _shown(box)) != before:
                yield f"the {attempt} restore differs: {_differences(before, after)}"
        await shell(box, "echo changed > plain && rm link && echo x > mode600")
        if (await shell(box, "cat plain")).stdout != b"changed\n":
            yield "restored files cannot be changed"


async def into_another_box(subject: Subject) -> AsyncIterator[str]:
    """A snapshot is self-contained: it outlives its box and fits another"""
    async with subject.box() as box:
        if not isinstance(box, Snapshots):
            return
        await python(box, BUILD)
        before, snapshot = await _shown(box), await box.snapshot()
    async with subject.box() as other:
        if isinstance(other, Snapshots):
            await other.restore(snapshot)
            if (after := await _shown(other)) != before:
                yield f"in another box it differs: {_differences(before, after)}"
