"""Which files of this machine a server's program needs, as far as its command shows.

A Python program needs its virtual environment and the interpreter behind that; a Node program
needs the ``node_modules`` it stands in. What a program opens by itself is not known here. Starts
nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agentsd.tools.mcp_targets import Stdio, program

SYSTEM = tuple(Path(name) for name in ("/usr", "/bin", "/sbin", "/lib", "/lib64"))
"""What every sandbox shows already."""

SCRIPTS = frozenset({".py", ".js", ".mjs", ".cjs", ".ts"})
"""An argument with such an ending that names a file is one that the program will open."""

OCCUPIED = tuple(Path(name) for name in ("/work", "/tmp", "/dev", "/proc", "/run"))
"""Where a sandbox has folders of its own, so that ours appear below ``MOVED``."""

MOVED = "/host"

PATH = "/usr/local/bin:/usr/bin:/bin"
MAX_SHEBANG_BYTES = 4096


@dataclass(slots=True)
class Needs:
    """What one command needs; filled while its program is followed."""

    paths: set[Path] = field(default_factory=set[Path])
    """Files and folders to show at their own place, read-only."""
    bins: list[str] = field(default_factory=list[str])
    """Folders that the PATH must hold."""
    seen: set[Path] = field(default_factory=set[Path])


def needs_of(target: Stdio) -> tuple[list[str], Needs]:
    """The command as it reads in the sandbox, and what it needs. Raises ``ConfigError``."""
    executable = Path(os.path.abspath(program(target)))
    needs = Needs()
    _follow(executable, needs)
    words = [_file_of(word) or word for word in target.command[1:]]
    for word in words:
        if isinstance(word, Path):
            _follow(word, needs)
    needs.paths = set(_outermost(needs.paths))
    return [*_start(executable), *(_word(word) for word in words)], needs


def inside(path: Path) -> str:
    """Where the sandbox shows a path of this machine."""
    return MOVED + str(path) if _is_below(path, OCCUPIED) else str(path)


def search_path(needs: Needs) -> str:
    """The PATH inside the sandbox."""
    return ":".join(dict.fromkeys([*needs.bins, *PATH.split(":")]))


def _file_of(word: str) -> Path | None:
    """The script that a word of the command names, if it does."""
    path = Path(word)
    return Path(os.path.abspath(path)) if path.suffix in SCRIPTS and path.is_file() else None


def _word(word: Path | str) -> str:
    return inside(word) if isinstance(word, Path) else word


def _start(executable: Path) -> list[str]:
    """The program, behind its interpreter where a script names one that the sandbox moves."""
    interpreter = _interpreter(executable)
    if interpreter is None or not _is_below(interpreter, OCCUPIED):
        return [inside(executable)]
    return [inside(interpreter), inside(executable)]


def _follow(path: Path, needs: Needs) -> None:
    """Note what a program file needs: where it stands, what it links to, who interprets it."""
    if path in needs.seen:
        return
    needs.seen.add(path)
    if not _is_system(path):
        home = _home(path)
        needs.paths.add(path if _is_too_much(home) else home)
        needs.bins.append(inside(path.parent))
    if path.is_symlink():
        _follow(Path(os.path.abspath(path.parent / os.readlink(path))), needs)
    venv = _parent_with(path, "pyvenv.cfg")
    if venv is not None:
        for interpreter in (venv / "bin").glob("python*"):
            _follow(interpreter, needs)
    interpreter = _interpreter(path)
    if interpreter is not None:
        _follow(interpreter, needs)


def _home(path: Path) -> Path:
    """The smallest folder that holds a program with what belongs to it, or the file itself."""
    venv = _parent_with(path, "pyvenv.cfg")
    if venv is not None:
        return venv
    for parent in reversed(path.parents):
        if parent.name == "node_modules":
            return parent
    package = _parent_with(path, "package.json")
    if package is not None:
        return package
    prefix = path.parent.parent
    is_installation = path.parent.name == "bin" and (
        any((prefix / "lib").glob("python3*/os.py")) or (prefix / "include/node").is_dir()
    )
    return prefix if is_installation else path


def _is_too_much(folder: Path) -> bool:
    """Whether the folder holds a person's files, or everybody's."""
    return folder in (Path.home(), *Path.home().parents)


def _parent_with(path: Path, name: str) -> Path | None:
    return next((parent for parent in path.parents if (parent / name).is_file()), None)


def _interpreter(path: Path) -> Path | None:
    """What the first line of a script names."""
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_SHEBANG_BYTES)
    except OSError:
        return None
    words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
    if words and Path(words[0]).name == "env":
        names = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        found = shutil.which(names[0]) if names else None
        return Path(found) if found else None
    return Path(words[0]) if words and Path(words[0]).is_absolute() else None


def _outermost(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths that are neither part of the system nor inside another one."""
    given = [path for path in paths if path.exists() and not _is_system(path)]
    return (path for path in given if not any(each in path.parents for each in given))


def _is_system(path: Path) -> bool:
    return _is_below(path, SYSTEM)


def _is_below(path: Path, roots: Iterable[Path]) -> bool:
    return any(path == root or root in path.parents for root in roots)
