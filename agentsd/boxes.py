"""What a sandbox is asked for and what it answers. Plain data; knows nothing of any backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentsd.errors import ConfigError

MIB = 2**20


@dataclass(frozen=True, slots=True)
class BoxLimits:
    """What one box may use. Raises ``ConfigError`` for a limit that is not positive."""

    memory_bytes: int = 1024 * MIB
    """All processes of the box together, where the backend can count them together."""
    workdir_bytes: int = 256 * MIB
    """The working directory; ``/tmp`` gets as much again."""
    num_files: int = 100_000
    """Files and directories in the working directory."""
    num_processes: int = 128
    cpus: float = 1.0
    output_bytes: int = MIB
    """Of each of stdout and stderr of one command; the rest is thrown away and counted."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"sandbox limit {name} must be positive, got {getattr(self, name)}"
                )


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """What a box should be like. The working directory is ``/work``, empty and writable."""

    limits: BoxLimits = field(default_factory=BoxLimits)
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variables of every command; nothing of the host's environment is inherited."""
    mounts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path in the box to host path, read-only."""
    image: str | None = None
    """Container image; None means the backend's default. ``bwrap`` has no images."""
    run: str = "default"
    """Label of the run that owns the box, so that ``agentsd gc`` finds what a crash left."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How one command ended. Whatever a command does is a value, never an exception."""

    exit_code: int | None
    """None when the deadline passed and the command, with all it started, was killed."""
    stdout: bytes
    stderr: bytes
    truncated_bytes: int = 0
    """Output that was thrown away beyond ``BoxLimits.output_bytes``."""
    seconds: float = 0.0

    @property
    def is_timeout(self) -> bool:
        """Whether the command was killed at its deadline."""
        return self.exit_code is None


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a component works on this machine, and what to do when it does not."""

    name: str
    works: bool
    detail: str
    """One line: the version and how it isolates, or what failed."""
    fix: str = ""
    """The exact command or setting that helps; empty when it works."""
