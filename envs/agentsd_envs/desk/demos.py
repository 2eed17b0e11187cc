"""Demonstrations for the embedded policy: the expert at work, with flaws and with obeyed hints.

A flaw is injected at its rate; the tool's real answer follows and the expert repairs the call. In a
share of the steps a hint stands right above the call: then the flaw it speaks of does not happen,
and the others happen as ever. Knows nothing of tokens or training.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from agentsd.schemas import first_schema_error
from agentsd.types import Message, Task, ToolCall, ToolSpec
from agentsd_critics import wording
from agentsd_envs.desk.expert import ANSWER, Step, perform, steps
from agentsd_envs.desk.flaws import FLAWS, Flaw, arguments_json
from agentsd_envs.desk.world import DeskError, World, world_from

HINT_RATE = 0.25
"""Share of steps with a hint above them, unless the caller says otherwise."""
IDLE_HINT_RATE = 0.2
"""Share of those hints that speak of something else, so that obeying is not the same as seeing."""
REPAIR_FACTOR = 0.2
"""How much rarer flaws are right after an error."""
IDLE_HINTS = (wording.repeated_call(), wording.ignored_error(), wording.unparsable_call())


def demonstration(
    task: Task, tools: Sequence[ToolSpec], rng: random.Random, *, hint_rate: float = HINT_RATE
) -> list[Message]:
    """One conversation in which the task gets solved, mistakes and repairs included."""
    world = world_from(task.data["world"])
    messages = [Message("user", task.prompt)]
    run = steps(task)
    step = next(run)
    while True:
        result = _attempts(step, world, tools, rng, messages, hint_rate=hint_rate)
        try:
            step = run.send(result)
        except StopIteration:
            return [*messages, Message("assistant", ANSWER)]


def _attempts(
    step: Step,
    world: World,
    tools: Sequence[ToolSpec],
    rng: random.Random,
    messages: list[Message],
    *,
    hint_rate: float,
) -> str:
    """Write attempts at the step until one is right. Returns its result."""
    factor = 1.0
    while True:
        hinted, text = _maybe_hint(step, tools, rng, hint_rate)
        if text:
            messages.append(Message("user", text))
        made = _maybe_spoil(step, hinted, factor, rng)
        result = answer(made, world, tools)
        messages.append(_call_message(made, len(messages)))
        messages.append(Message("tool", result, tool_call_id=f"call_{len(messages) - 1}"))
        if made == step:
            return result
        factor = REPAIR_FACTOR


def _maybe_hint(
    step: Step, tools: Sequence[ToolSpec], rng: random.Random, rate: float
) -> tuple[Flaw | None, str]:
    """The flaw that a hint forbids here, and the hint; (None, "") for most steps."""
    if rng.random() >= rate:
        return None, ""
    if rng.random() < IDLE_HINT_RATE:
        return None, rng.choice(IDLE_HINTS)
    flaw = rng.choice([flaw for flaw in FLAWS if flaw.applies(step)])
    return flaw, flaw.hint(tools, step.tool)


def _maybe_spoil(step: Step, hinted: Flaw | None, factor: float, rng: random.Random) -> Step:
    """The step with at most one flaw, drawn at the flaws' rates."""
    for flaw in rng.sample(FLAWS, len(FLAWS)):
        if flaw is not hinted and flaw.applies(step) and rng.random() < flaw.rate * factor:
            return flaw.spoil(step)
    return step


def answer(step: Step, world: World, tools: Sequence[ToolSpec]) -> str:
    """What an episode's environment replies to the call, to the letter."""
    spec = next((tool for tool in tools if tool.name == step.tool), None)
    if spec is None:
        return f"Error: unknown tool {step.tool}"
    if problem := first_schema_error(spec, step.arguments):
        return f"Error: {problem.message}"
    try:
        return perform(world, step)
    except DeskError as error:
        return f"Error: {error}"


def _call_message(step: Step, index: int) -> Message:
    call = ToolCall(f"call_{index}", step.tool, arguments_json(step), step.arguments)
    return Message("assistant", "", tool_calls=(call,))
