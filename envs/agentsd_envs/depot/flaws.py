"""The slips that the embedded policy is taught to make, and the hints it is taught to obey.

Every slip is of several turns: a lock that is forgotten, a value that is remembered instead of
read, two jobs that change places, an answer that comes too early. Knows nothing of tokens or
training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentsd.types import ToolSpec
from agentsd_envs.depot import hints
from agentsd_envs.depot.expert import FORGET, SWAP, Step


@dataclass(frozen=True, slots=True)
class Flaw:
    """One kind of slip in one kind of step."""

    category: str
    rate: float
    """Probability in an unhinted step to which it applies."""
    slip: str
    """What goes wrong in the expert's mind."""
    applies: Callable[[Step], bool]
    hint: Callable[[Sequence[ToolSpec], str], str]
    """The depot critic's wording for (tools, name of the right tool)."""

    def spoil(self, step: Step) -> Step | None:
        """What is called instead of the step; None where the policy answers instead."""
        return step.slips[self.slip]


def _forgets(tool: str, rate: float) -> Flaw:
    """The tool's step is taken to be done, and some call follows."""
    return Flaw(
        "T08",
        rate,
        FORGET,
        applies=lambda step: step.tool == tool and step.slips.get(FORGET) is not None,
        hint=lambda tools, name: hints.forgotten_step(name),
    )


FLAWS = (
    _forgets("open_bin", 0.12),
    _forgets("close_bin", 0.25),
    _forgets("return_key", 0.25),
    Flaw(
        "T06",
        0.35,
        FORGET,
        applies=lambda step: step.tool == "read_bin" and FORGET in step.slips,
        hint=lambda tools, name: hints.stale_value(),
    ),
    Flaw(
        "T08",
        0.1,
        SWAP,
        applies=lambda step: SWAP in step.slips,
        hint=lambda tools, name: hints.wrong_order(),
    ),
    Flaw(
        "T16",
        0.25,
        FORGET,
        applies=lambda step: FORGET in step.slips and step.slips[FORGET] is None,
        hint=lambda tools, name: hints.early_answer(),
    ),
)
