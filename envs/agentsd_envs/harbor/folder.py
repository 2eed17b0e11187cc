"""Read one Harbor task directory: ``task.toml``, ``instruction.md``, ``environment``, ``tests``.

The format is that of Harbor 0.25 (``harbor/models/task/config.py``, schema 1.4, and older ones).
Tasks that need more than a box offers are refused by name, never run without it. Knows nothing of
boxes or episodes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, PositiveFloat, ValidationError

from agentsd.boxes import MIB, BoxLimits
from agentsd.errors import DataError
from agentsd.validation import first_problem

COMPOSE_NAMES = ("docker-compose.yaml", "docker-compose.yml", "compose.yaml", "compose.yml")
SIZE_UNITS = {"K": 1 / 1024, "M": 1, "G": 1024}


def _megabytes(size: str) -> float:
    """``2G``, as ``memory`` and ``storage`` of schema 1.0 are written, as 2048."""
    number, unit = size.strip()[:-1], size.strip()[-1:].upper()
    try:
        return float(number) * SIZE_UNITS[unit]
    except (ValueError, KeyError) as error:
        raise ValueError(f"{size!r} is not a number with K, M or G") from error


Size = Annotated[float, BeforeValidator(_megabytes)]


class Network(BaseModel):
    """What a section says about the network."""

    network_mode: str | None = None
    allow_internet: bool | None = None

    @property
    def wish(self) -> str | None:
        """How the section asks for the internet, if it does. Silence is no wish."""
        if self.network_mode not in (None, "no-network"):
            return f"network_mode = {self.network_mode}"
        if self.network_mode is None and self.allow_internet:
            return "allow_internet = true"
        return None


class EnvironmentSection(Network):
    """``[environment]``."""

    docker_image: str | None = None
    os: str = "linux"
    cpus: PositiveFloat | None = None
    memory_mb: PositiveFloat | None = None
    storage_mb: PositiveFloat | None = None
    memory: Size | None = None
    storage: Size | None = None
    gpus: int | None = None
    tpu: Any = None
    mcp_servers: list[Any] = []
    env: dict[str, str] = {}
    healthcheck: Any = None
    workdir: str | None = None


class AgentSection(Network):
    """``[agent]``."""

    timeout_s: PositiveFloat | None = Field(
        default=None, validation_alias=AliasChoices("timeout_sec", "timeout_s")
    )


class VerifierSection(Network):
    """``[verifier]``."""

    timeout_s: PositiveFloat = Field(
        default=600.0, validation_alias=AliasChoices("timeout_sec", "timeout_s")
    )
    env: dict[str, str] = {}
    environment: Any = None
    collect: list[Any] = []


class TaskToml(BaseModel):
    """``task.toml``; what describes the task to people is not read."""

    environment: EnvironmentSection = EnvironmentSection()
    agent: AgentSection = AgentSection()
    verifier: VerifierSection = VerifierSection()
    steps: list[Any] = []


@dataclass(frozen=True, slots=True)
class TaskFolder:
    """A task directory that can be run."""

    path: Path
    toml: TaskToml
    instruction: str

    @property
    def name(self) -> str:
        """The name of the directory."""
        return self.path.name

    @property
    def environment(self) -> Path:
        """The folder with the Dockerfile, or with the files of a task without one."""
        return self.path / "environment"

    @property
    def has_dockerfile(self) -> bool:
        """Whether the task brings its own image."""
        return (self.environment / "Dockerfile").is_file()

    @property
    def needs_image(self) -> bool:
        """Whether only a container can hold the task."""
        return self.has_dockerfile or self.toml.environment.docker_image is not None

    @property
    def tests(self) -> Path:
        """Becomes ``/tests``, after the agent."""
        return self.path / "tests"

    @property
    def solution(self) -> Path | None:
        """Becomes ``/solution`` when the reference solution is run; None where there is none."""
        folder = self.path / "solution"
        return folder if (folder / "solve.sh").is_file() else None

    @property
    def limits(self) -> BoxLimits:
        """What the task asks for, and the box's defaults where it is silent."""
        section, default = self.toml.environment, BoxLimits()
        memory_mb = section.memory_mb or section.memory
        storage_mb = section.storage_mb or section.storage
        return BoxLimits(
            memory_bytes=int(memory_mb * MIB) if memory_mb else default.memory_bytes,
            workdir_bytes=int(storage_mb * MIB) if storage_mb else default.workdir_bytes,
            cpus=section.cpus or default.cpus,
        )


def read_folder(path: Path, *, offline: bool = False) -> TaskFolder:
    """Read a task directory; ``offline`` takes tasks that ask for the internet as well.

    Raises ``DataError`` in one line: what is missing, or what the task needs and boxes lack.
    """
    if not (path / "task.toml").is_file():
        raise DataError(f"{path}: {_why_no_task(path)}")
    toml = _toml(path / "task.toml")
    instruction = _text(path / "instruction.md")
    folder = TaskFolder(path, toml, instruction)
    if not instruction.strip():
        raise DataError(f"{path / 'instruction.md'}: is empty; it is what the policy is told")
    if not (folder.tests / "test.sh").is_file():
        raise DataError(
            f"{path}: has no tests/test.sh, so nothing can be graded; "
            "add one that writes /logs/verifier/reward.txt"
        )
    for need in _needs(folder, offline=offline):
        raise DataError(f"{path}: {need}")
    return folder


def find_folders(path: Path) -> list[Path]:
    """The task directories in ``path``, sorted, or ``path`` itself. Raises ``DataError``."""
    if not path.is_dir():
        raise DataError(f"{path}: is not a directory of Harbor tasks")
    if _looks_like_task(path):
        return [path]
    found = sorted(each for each in path.iterdir() if each.is_dir() and _looks_like_task(each))
    if not found:
        raise DataError(f"{path}: holds no task directory; a task has task.toml and instruction.md")
    return found


def _looks_like_task(path: Path) -> bool:
    return any((path / name).is_file() for name in ("task.toml", "instruction.md", "task.yaml"))


def _why_no_task(path: Path) -> str:
    if (path / "task.yaml").is_file():
        return (
            "is a task of Terminal-Bench 1 (task.yaml); "
            "convert it with `harbor tasks migrate` of the package harbor"
        )
    return "has no task.toml; an empty one will do"


def _needs(folder: TaskFolder, *, offline: bool) -> Iterator[str]:
    """What the task needs that a box does not have, most telling first."""
    environment, verifier = folder.toml.environment, folder.toml.verifier
    compose = [name for name in COMPOSE_NAMES if (folder.environment / name).is_file()]
    workdir = None if folder.needs_image else environment.workdir
    needs = {
        "has several steps ([[steps]]); an episode has one": folder.toml.steps,
        f"needs several containers ({', '.join(compose)}); an episode has one box": compose,
        f"needs {environment.os}; boxes run Linux": environment.os.lower() != "linux",
        "needs an accelerator; boxes have none": environment.gpus or environment.tpu,
        "brings MCP servers of its own, which are not supported": environment.mcp_servers,
        "waits for a service to become healthy, which is not supported": environment.healthcheck,
        f"works in {workdir} but brings no image; without one it is /work": workdir,
        "has an image of its own for the tests; they run in that of the task only": (
            verifier.environment or (folder.tests / "Dockerfile").is_file()
        ),
        "collects state by commands ([[verifier.collect]]), which is not supported": (
            verifier.collect
        ),
    }
    yield from (need for need, is_needed in needs.items() if is_needed)
    if not offline:
        yield from _network_needs(folder.toml)
    yield from _host_variables({**environment.env, **verifier.env})


def _network_needs(toml: TaskToml) -> Iterator[str]:
    sections = {"environment": toml.environment, "agent": toml.agent, "verifier": toml.verifier}
    for name, section in sections.items():
        if section.wish is not None:
            yield (
                f"asks for the internet ([{name}] {section.wish}) and boxes have none; "
                "set offline = true to run it without"
            )


def _host_variables(env: Mapping[str, str]) -> Iterator[str]:
    for name, value in env.items():
        if "${" in value:
            yield f"wants the variable {name} = {value} of the host, which never enters a box"


def _toml(path: Path) -> TaskToml:
    try:
        return TaskToml.model_validate(tomllib.loads(_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: is not TOML: {error}") from error
    except ValidationError as error:
        raise DataError(f"{path}: {first_problem(error)}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text: {error.reason}") from error
