"""What an attack is and how it ended. Plain data; knows nothing of any backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from agentsd.attacks.inside import Bait, Report
from agentsd.attacks.lures import Lures
from agentsd.boxes import MIB, BoxLimits, BoxSpec
from agentsd.interfaces import Sandbox, SandboxBackend

LIMITS = BoxLimits(
    memory_bytes=256 * MIB,
    workdir_bytes=32 * MIB,
    num_files=1000,
    num_processes=40,
    cpus=1.0,
    output_bytes=MIB,
)
"""Of the boxes under attack: small, because bombs go a few times beyond them."""

MakeBackend = Callable[[], SandboxBackend]
"""Makes a backend anew, in another process too: a class, or a ``functools.partial``."""

Payload = Callable[[Bait], Report]


class Ending(StrEnum):
    """How an attack ended."""

    BLOCKED = "blocked"
    SUCCEEDED = "succeeded"
    BROKEN = "broken"
    """It could not even be made, so nothing is known: the suite has failed."""


@dataclass(frozen=True, slots=True)
class AttackReport:
    """One line of the table."""

    name: str
    category: str
    tried: str
    ending: Ending
    stopped_by: str
    """What stopped the attack; else how it succeeded, or why it could not be made."""
    seconds: float

    @property
    def blocked(self) -> bool:
        """Whether the box held. An attack that could not be made proves nothing."""
        return self.ending is Ending.BLOCKED


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked: a backend, and how to make another one."""

    make: MakeBackend
    backend: SandboxBackend


@dataclass(slots=True)
class Scene:
    """Everything one attack has at hand. Outputs are kept, because the secret may be in them."""

    target: Target
    spec: BoxSpec
    box: Sandbox
    lures: Lures
    bait: Bait
    tag: str
    """Stands in the command line of every process of the payload."""
    timeout_s: float
    may_die: bool
    seen: list[bytes] = field(default_factory=list[bytes])


Drive = Callable[[Scene, Payload], Awaitable[Report]]
"""Runs a payload in the box, and does on the host what belongs to the attack."""


@dataclass(frozen=True, slots=True)
class Attack:
    """A payload, and how the host runs it."""

    payload: Payload
    drive: Drive
    timeout_s: float = 20.0
    may_die: bool = False
    """The payload may be killed, by the deadline or a limit, before it can report."""
    is_heavy: bool = False
    """It runs alone, because it uses up what others would be measured by."""
    limits: BoxLimits = LIMITS

    @property
    def name(self) -> str:
        """The payload's name as words."""
        return self.payload.__name__.replace("_", " ")

    @property
    def category(self) -> str:
        """The name of the payload's module as words."""
        return self.payload.__module__.rpartition(".")[2].replace("_", " ")

    @property
    def tried(self) -> str:
        """The first line of the payload's docstring."""
        return (self.payload.__doc__ or "").strip().partition("\n")[0]
