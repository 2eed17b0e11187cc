"""The Python that serves a box, and this package's own modules in the form it loads fastest.

Two small programs start with every box, so what they cost counts. Compiled code is given where the
box's Python is of the same version as this one, source text elsewhere. Knows nothing of bwrap.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from types import CodeType
from typing import Any

from agentsd.sandbox.bwrap_probe import NO_SERVER, CannotIsolate

INBOX = "agentsd.sandbox.inbox"
MODULES = ("confined", "confinement", "files", "processes", "server", "wire")
LAUNCHER = "agentsd.sandbox.launcher"
SYSTEM = ("/usr/bin/python3", "/usr/local/bin/python3")

LAUNCH = (
    "import marshal, sys; code, plan = marshal.load(open(sys.argv[1], 'rb')); "
    "scope = {'__name__': 'launcher'}; exec(code, scope); scope['main'](plan)"
)
SERVE = "import sys; sys.path.insert(0, {folder!r}); from {module} import main; main()"
HEADER = importlib.util.MAGIC_NUMBER + bytes(12)
"""In front of compiled code in a file; the bytes after the version are for comparing with source,
which is not there."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that a box can run."""

    path: str
    mounts: Mapping[str, str]
    """What of the host has to be mounted for it."""
    is_ours: bool
    """Whether it is of the version that runs this, so that it takes our compiled code."""

    def command(self, module: str, folder: str) -> list[str]:
        """Run ``main`` of a module of ``inbox`` that lies below ``folder`` in the box."""
        code = SERVE.format(folder=folder, module=f"{INBOX}.{module}")
        return [self.path, "-I", "-S", "-B", "-c", code]

    def files(self) -> dict[str, bytes]:
        """The modules of ``inbox`` and the packages around them, by path below a folder."""
        end, folder = ("pyc" if self.is_ours else "py"), INBOX.replace(".", "/")
        found = {f"{folder}/{name}.{end}": self._content(f"{INBOX}.{name}") for name in MODULES}
        for package in (INBOX, *_parents(INBOX)):
            found[f"{package.replace('.', '/')}/__init__.py"] = b""
        return found

    def _content(self, module: str) -> bytes:
        return HEADER + marshal.dumps(_code(module)) if self.is_ours else _source(module)

    def launch(self, plan_path: str) -> list[str]:
        """Run the launcher on this machine, with the file that ``launcher_file`` makes."""
        python = self.path if self.is_ours else sys.executable
        return [python, "-I", "-S", "-B", "-c", LAUNCH, plan_path]


def find() -> Interpreter:
    """The system's Python, which is in every box, else the one that runs this.

    Raises ``CannotIsolate`` when there is neither.
    """
    for path in SYSTEM:
        real = os.path.realpath(path)
        if real.startswith("/usr/") and os.access(path, os.X_OK):
            return Interpreter(path, {}, is_ours=_is_ours(os.path.basename(real)))
    path = os.path.realpath(sys.executable) if sys.executable else ""
    prefix = os.path.realpath(sys.base_prefix)
    if path.startswith(prefix + "/") and prefix != "/":
        return Interpreter(path, {prefix: prefix}, is_ours=True)
    raise CannotIsolate("no Python 3 that a box could see", NO_SERVER)


def launcher_file(plan: Mapping[str, Any]) -> bytes:
    """The launcher's code and what it is to do; for the command of ``Interpreter.launch``."""
    # Version 2 of the format is read by every Python 3.
    content: Any = (_code(LAUNCHER), plan)
    return marshal.dumps(content, 2)


def _is_ours(name: str) -> bool:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return name == version and sys.implementation.name == "cpython"


def _parents(package: str) -> list[str]:
    words = package.split(".")
    return [".".join(words[:count]) for count in range(1, len(words))]


def _code(module: str) -> CodeType:
    code = _loader(module).get_code(module)
    assert code, f"{module} has no code"
    return code


def _source(module: str) -> bytes:
    text = _loader(module).get_source(module)
    assert text is not None, f"{module} has no source"
    return text.encode()


def _loader(module: str) -> SourceFileLoader:
    spec = importlib.util.find_spec(module)
    assert spec, f"{module} is not installed"
    assert isinstance(spec.loader, SourceFileLoader), f"{module} is not a file"
    return spec.loader
