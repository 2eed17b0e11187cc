"""Find the ``bfcl-eval`` package and read its multi-turn tasks, tool documents and API classes.

The package is read by path and its own dependencies are never imported. Its data are described in
``bfcl_eval/data/README.md``. Knows nothing of episodes, schemas or grades.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agentsd.errors import ConfigError, DataError

Category = Literal["base", "miss_func", "miss_param", "long_context"]

PACKAGE = "bfcl_eval"
SOURCES = "eval_checker/multi_turn_eval/func_source_code"
FIX = "run `pip install --no-deps bfcl-eval`, or give path = the folder of an unpacked wheel"

API_MODULES: Mapping[str, tuple[str, str]] = {
    "GorillaFileSystem": ("gorilla_file_system", "gorilla_file_system.json"),
    "MathAPI": ("math_api", "math_api.json"),
    "MessageAPI": ("message_api", "message_api.json"),
    "TicketAPI": ("ticket_api", "ticket_api.json"),
    "TradingBot": ("trading_bot", "trading_bot.json"),
    "TravelAPI": ("travel_booking", "travel_booking.json"),
    "TwitterAPI": ("posting_api", "posting_api.json"),
    "VehicleControlAPI": ("vehicle_control", "vehicle_control.json"),
}
"""Class to its module and its document, as in ``constants/executable_backend_config.py``."""


class Said(BaseModel):
    """One message of the user."""

    content: str


class EntryRow(BaseModel):
    """One line of ``BFCL_v4_multi_turn_*.json``."""

    model_config = ConfigDict(frozen=True)

    id: str
    question: list[list[Said]]
    initial_config: dict[str, Any]
    involved_classes: list[str]
    missed_function: dict[int, list[str]] = {}
    """Turn to the functions that are offered only from then on."""


class GoldRow(BaseModel):
    """One line of ``possible_answer/BFCL_v4_multi_turn_*.json``."""

    id: str
    ground_truth: list[list[str]]


class FunctionDoc(BaseModel):
    """One line of a file in ``multi_turn_func_doc``."""

    name: str
    description: str
    parameters: dict[str, Any]


Row = TypeVar("Row", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Entry:
    """One conversation with its gold calls, turn by turn."""

    row: EntryRow
    category: Category
    gold: tuple[tuple[str, ...], ...]

    @property
    def is_long_context(self) -> bool:
        """Whether the APIs pad their answers."""
        return self.category == "long_context"


@dataclass(frozen=True, slots=True)
class Library:
    """The package on disk."""

    root: Path
    """The folder ``bfcl_eval``."""

    def entries(self, category: Category) -> Sequence[Entry]:
        """The conversations of a category, in file order. Raises ``DataError``."""
        name = f"BFCL_v4_multi_turn_{category}.json"
        gold_path = self.root / "data" / "possible_answer" / name
        gold = {row.id: row.ground_truth for row in _rows(gold_path, GoldRow)}
        entries: list[Entry] = []
        for row in _rows(self.root / "data" / name, EntryRow):
            turns = gold.get(row.id, [])
            if len(turns) != len(row.question):
                raise DataError(
                    f"{gold_path}: {row.id} has {len(turns)} turns of gold calls for "
                    f"{len(row.question)} turns of the user; reinstall bfcl-eval"
                )
            entries.append(Entry(row, category, tuple(tuple(turn) for turn in turns)))
        return entries

    def documents(self) -> Mapping[str, Sequence[FunctionDoc]]:
        """The functions of every class. Raises ``DataError``."""
        folder = self.root / "data" / "multi_turn_func_doc"
        return {
            name: tuple(_rows(folder / file, FunctionDoc))
            for name, (_, file) in API_MODULES.items()
        }

    def classes(self) -> Mapping[str, type[Any]]:
        """Import the eight API classes. Raises ``ConfigError`` when another copy is loaded."""
        return {
            name: getattr(self._module(module), name) for name, (module, _) in API_MODULES.items()
        }

    def _module(self, name: str) -> ModuleType:
        """Import by the full name, because the modules import each other by it."""
        parent = str(self.root.parent)
        sys.path.insert(0, parent)
        try:
            module = importlib.import_module(f"{PACKAGE}.{SOURCES.replace('/', '.')}.{name}")
        finally:
            sys.path.remove(parent)
        file = Path(module.__file__ or "")
        if file.resolve() != (self.root / SOURCES / f"{name}.py").resolve():
            raise ConfigError(
                f"bfcl: {PACKAGE} was loaded from {file} before; one process reads one copy"
            )
        return module


def find_library(path: str | Path | None = None) -> Library:
    """The package in ``path``, else the installed one. Raises ``ConfigError`` with the fix."""
    root = _installed() if path is None else _inside(Path(path))
    if not (root / SOURCES).is_dir() or not (root / "data").is_dir():
        raise ConfigError(f"bfcl: {root} does not hold {SOURCES} and data; {FIX}")
    return Library(root)


def _installed() -> Path:
    try:
        return Path(str(distribution("bfcl-eval").locate_file(PACKAGE)))
    except PackageNotFoundError as error:
        raise ConfigError(f"bfcl: the package bfcl-eval is not installed; {FIX}") from error


def _inside(path: Path) -> Path:
    if path.suffix == ".whl":
        raise ConfigError(f"bfcl: {path} is a packed wheel; unpack it, it is a zip archive")
    return path if path.name == PACKAGE else path / PACKAGE


def _rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    """Every line as ``kind``. Raises ``DataError`` with the file and the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; {FIX}") from error
    for number, line in enumerate(lines, start=1):
        try:
            yield kind.model_validate(json.loads(line))
        except (json.JSONDecodeError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{path}:{number}: is not a {kind.__name__}: {reason}") from error
