"""The options of the ``repo`` environment, checked. Knows nothing of what they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from agentsd.boxes import MIB, BoxLimits, BoxSpec
from agentsd.tools.results import MAX_RESULT_BYTES, MIN_RESULT_BYTES
from agentsd.validation import checked_options
from agentsd_envs.repo.repairs import LEVELS
from agentsd_envs.repo.tools import Shell

LISTING_BYTES = 8 * MIB
"""What one command may say in the box that judges: the names of all files, for instance."""


class RepoOptions(BaseModel):
    """How tasks are chosen and boxes are made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: str | None = None
    """A task file; None means the repair tasks that ship."""
    count: PositiveInt | None = None
    """Repair tasks in each split; all by default."""
    levels: tuple[int, ...] = LEVELS
    """Of the repair tasks: 1 names a failing test, 2 only a symptom, 3 has two mistakes."""
    seed: int = 0
    """Which repair tasks come first."""
    sandbox: str = "bwrap"
    """The backend of the boxes."""
    limits: BoxLimits = BoxLimits()
    """Of the policy's box and of the one that judges."""
    image: str | None = None
    """For backends that have images; a task's own goes first."""
    mounts: dict[str, str] = Field(default_factory=dict)
    """Path in the boxes to host path, read-only: interpreters and libraries, for instance."""
    variables: dict[str, str] = Field(default_factory=dict)
    """Environment variables in the boxes."""
    command_timeout_s: PositiveFloat = 30.0
    """Of one shell command, unless the policy asks for another."""
    longest_command_s: PositiveFloat = 300.0
    """The most that the policy may ask for."""
    test_timeout_s: PositiveFloat = 300.0
    """All tests of a task together; missing it is a failure, not a fault of the sandbox."""
    max_result_bytes: int = Field(default=MAX_RESULT_BYTES, ge=MIN_RESULT_BYTES)
    """Longer results are cut."""
    cache_dir: Path = Path("~/.cache/agentsd/clones")
    """Where clones of remote repositories are kept."""
    clone_timeout_s: PositiveFloat = 300.0

    @property
    def shell(self) -> Shell:
        """How long commands may take."""
        return Shell(min(self.command_timeout_s, self.longest_command_s), self.longest_command_s)

    def spec(self, image: str | None) -> BoxSpec:
        """The policy's box."""
        return BoxSpec(self.limits, self.variables, self.mounts, image or self.image)

    def judging_spec(self, image: str | None) -> BoxSpec:
        """The box that judges: it may say more, and Python leaves no files behind in it."""
        names = BoxLimits.__dataclass_fields__
        values = {name: getattr(self.limits, name) for name in names}
        limits = BoxLimits(**values | {"output_bytes": LISTING_BYTES})
        variables = self.variables | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}
        return BoxSpec(limits, variables, self.mounts, image or self.image)


def parsed(values: dict[str, Any]) -> RepoOptions:
    """The options. Raises ``ConfigError`` that names the first bad one."""
    return checked_options(RepoOptions, "repo", values)
