"""Read trajectories written by other programs: one module a format, recognised by content.

A new format is a module with ``read`` and ``recognizes``, and a line in ``FORMATS``. Knows nothing
of critics or of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from agentsd import store
from agentsd.errors import ConfigError, DataError
from agentsd.formats import chat, tau_bench
from agentsd.formats.json_values import read_values
from agentsd.types import ToolSpec, Trajectory

Reader = Callable[[Path, Sequence[ToolSpec]], Iterator[Trajectory]]
"""Yields the trajectories of a file; the tools are for files that do not record them."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way to store trajectories."""

    read: Reader
    recognizes: Callable[[object], bool]
    """Whether the first JSON value of a file (the first element, in a list) is of this format."""


def _read_own(path: Path, tools: Sequence[ToolSpec]) -> Iterator[Trajectory]:
    if tools:
        raise ConfigError(f"{path} records its own tools; leave the tools file out")
    return store.read_trajectories(path)


def _is_own(value: object) -> bool:
    return isinstance(value, dict) and str(value.get("format", "")).startswith("agentsd/")


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "agentsd": Format(_read_own, _is_own),
        "tau-bench": Format(tau_bench.read, tau_bench.recognizes),
        "chat": Format(chat.read, chat.recognizes),
    }
)
"""Every format by name, the more specific first."""


def read_any(
    path: Path | str, fmt: str = "auto", tools: Sequence[ToolSpec] | None = None
) -> Iterator[Trajectory]:
    """Yield the trajectories of a file in any known format, holding one at a time.

    ``tools`` are what the policy was offered, for formats that do not record it. Raises
    ``ConfigError`` for an unknown format name, ``DataError`` for a file that is in none.
    """
    path = Path(path)
    name = detect(path) if fmt == "auto" else fmt
    if name not in FORMATS:
        raise ConfigError(f"unknown format {fmt!r}; use auto or one of: {', '.join(FORMATS)}")
    return FORMATS[name].read(path, tuple(tools or ()))


def detect(path: Path) -> str:
    """The name of the file's format, judged by its first value. Raises ``DataError``."""
    if path.is_dir():
        return "agentsd"
    for _, value in read_values(path):
        for name, form in FORMATS.items():
            if form.recognizes(value):
                return name
        break
    raise DataError(f"{path}: in no known format; expected one of: {', '.join(FORMATS)}")
