"""The programs that ship with ``repo``, as the files of small repositories.

Knows nothing of mistakes or tasks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "agentsd_envs.repo.projects."
"""How the programs import each other here; in a repository of their own they are at the top."""

HELD_OUT = frozenset({"bank", "calculator", "globs", "rational"})
"""The programs of the test split: no mistake in one is ever seen in training."""

LINT_COMMENT = re.compile(r"  # (noqa|type: ignore).*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Project:
    """One program and its tests, as text."""

    name: str
    modules: Mapping[str, str]
    """Path in the repository to source."""
    tests: str
    """All its tests."""

    @property
    def split(self) -> str:
        """The split that all its tasks are in."""
        return "test" if self.name in HELD_OUT else "train"

    @property
    def test_path(self) -> str:
        """Where the tests stand in the repository."""
        return f"test_{self.name}.py"


def projects() -> dict[str, Project]:
    """All programs by name, in a fixed order."""
    folder = Path(__file__).parent / "projects"
    names = sorted(path.stem.removeprefix("test_") for path in folder.glob("test_*.py"))
    return {name: _project(folder, name) for name in names}


def _project(folder: Path, name: str) -> Project:
    """A program is one module, or a package."""
    package = folder / name
    paths = sorted(package.glob("*.py")) if package.is_dir() else [folder / f"{name}.py"]
    modules = {str(path.relative_to(folder)): _text(path) for path in paths}
    return Project(name, modules, _text(folder / f"test_{name}.py"))


def _text(path: Path) -> str:
    """The source as it stands in a repository of its own."""
    return LINT_COMMENT.sub("", path.read_text(encoding="utf-8").replace(PREFIX, ""))
