"""Demonstrations of the depot: the expert at work, with slips, their consequences, and hints.

A slip is made at its rate and goes unnoticed: the expert's mind goes on with a wrong belief until
the depot refuses something, and then repairs what it can. In a share of the steps a hint stands
right above the call: then the slip it speaks of does not happen, and the others happen as ever.
Knows nothing of tokens or training.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from agentsd.types import Message, Task, ToolCall, ToolSpec
from agentsd_critics import wording
from agentsd_envs.depot.expert import ANSWER, Mind, Step, perform
from agentsd_envs.depot.flaws import FLAWS, Flaw
from agentsd_envs.depot.world import DepotError, World, world_from

HINT_RATE = 0.35
"""Share of steps with a hint above them."""
IDLE_HINT_RATE = 0.2
"""Share of those hints that speak of something else, so that obeying is not the same as seeing."""
REPAIR_FACTOR = 0.2
"""How much rarer slips are right after an error."""
IDLE_HINTS = (wording.repeated_call(), wording.ignored_error(), wording.unparsable_call())


def demonstration(task: Task, tools: Sequence[ToolSpec], rng: random.Random) -> list[Message]:
    """One conversation, slips and repairs included. What was never refused is never repaired."""
    world, mind = world_from(task.data["world"]), Mind(list(task.data["jobs"]))
    messages = [Message("user", task.prompt)]
    factor = 1.0
    while (step := mind.step()) is not None:
        flaw = _maybe_slip(step, _maybe_hint(step, tools, rng, messages), factor, rng)
        if flaw is not None:
            mind.make_slip(flaw.slip, step)
            step = flaw.spoil(step)
            if step is None:
                break
        result = answer(step, world)
        mind.saw(step, result)
        messages.append(_call_message(step, len(messages)))
        messages.append(Message("tool", result, tool_call_id=f"call_{len(messages) - 1}"))
        factor = REPAIR_FACTOR if result.startswith("Error") else 1.0
    return [*messages, Message("assistant", ANSWER)]


def _maybe_hint(
    step: Step, tools: Sequence[ToolSpec], rng: random.Random, messages: list[Message]
) -> Flaw | None:
    """Write a hint above some of the steps. Returns the flaw that it forbids."""
    if rng.random() >= HINT_RATE:
        return None
    flaws = [flaw for flaw in FLAWS if flaw.applies(step)]
    if not flaws or rng.random() < IDLE_HINT_RATE:
        messages.append(Message("user", rng.choice(IDLE_HINTS)))
        return None
    flaw = rng.choice(flaws)
    messages.append(Message("user", flaw.hint(tools, step.tool)))
    return flaw


def _maybe_slip(step: Step, hinted: Flaw | None, factor: float, rng: random.Random) -> Flaw | None:
    """At most one flaw, drawn at the flaws' rates."""
    for flaw in rng.sample(FLAWS, len(FLAWS)):
        if flaw is not hinted and flaw.applies(step) and rng.random() < flaw.rate * factor:
            return flaw
    return None


def answer(step: Step, world: World) -> str:
    """What an episode's environment replies to the call, to the letter."""
    try:
        return perform(world, step)
    except DepotError as error:
        return f"Error: {error}"


def _call_message(step: Step, index: int) -> Message:
    raw = json.dumps(dict(step.arguments))
    call = ToolCall(f"call_{index}", step.tool, raw, step.arguments)
    return Message("assistant", "", tool_calls=(call,))
