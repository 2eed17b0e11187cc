"""How good, how flawed and how obedient a desk policy is: ``python -m agentsd_envs.desk.measure``.

Rolls out held-out tasks, lets the ``rules`` critic find the mistakes, then samples every wrong turn
again with the critic's hint above it. A hint is obeyed when the new turn has no finding of its
category; categories that show only in a tool's result are not asked about. Knows nothing of how the
policy was built.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agentsd.config import Recipe, load_recipe
from agentsd.evaluate import Proportion, evaluate
from agentsd.interfaces import Critic
from agentsd.review import review
from agentsd.rollout import Plan
from agentsd.sampling import SamplingParams
from agentsd.seeds import derive_seed
from agentsd.selection import Candidate, select
from agentsd.setup import Setup, set_up
from agentsd.types import Message, TokenLog, Trajectory
from agentsd_envs.desk import recipe as recipe_file

SEEN_IN_THE_CALL = ("T01", "T02", "T03", "T04", "T05")
"""Categories that the critic finds in a call before any tool has answered it."""


async def measure(recipe: Recipe, episodes: int, *, split: str = "test") -> dict[str, Any]:
    """Error rate and success without hints, obedience with them; shares with 95 % intervals."""
    setup = await set_up(recipe)
    tasks = setup.taskset.tasks(split)[:episodes]
    plans = [Plan(f"m/{i:04d}", t, derive_seed("measure", i)) for i, t in enumerate(tasks)]
    trajectories = await setup.rollout().run(plans)
    findings = await review(trajectories, [setup.critic])
    evaluation = evaluate(trajectories, findings)
    examples = select(trajectories, findings, setup.chat, recipe.hint.role).examples
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    asked = [
        (by_id[example.trajectory_id], example.log, candidate)
        for example in examples
        for candidate in example.candidates
        if candidate.finding.category in SEEN_IN_THE_CALL
    ]
    again = await asyncio.gather(*(hinted_turn(setup, *question) for question in asked))
    obeyed, total = Counter[str](), Counter[str]()
    for (_, _, candidate), trajectory in zip(asked, again, strict=True):
        category = candidate.finding.category
        total[category] += 1
        obeyed[category] += not await has_category(setup.critic, trajectory, category)
    return {
        "errors_per_call": share(evaluation.errors),
        "success": share(evaluation.success),
        "by_category": {c: share(p) for c, p in evaluation.by_category.items()},
        "obedience": {c: share(Proportion(obeyed[c], total[c])) for c in sorted(total)},
        "obedience_overall": share(Proportion(obeyed.total(), total.total())),
    }


async def hinted_turn(
    setup: Setup, trajectory: Trajectory, log: TokenLog, candidate: Candidate
) -> Trajectory:
    """The trajectory up to the wrong turn, which is sampled anew with the hint above it."""
    branch, turn = candidate.branch, candidate.finding.turn
    prompt = (*log.ids[: branch.at], *branch.hint_ids, *setup.chat.header())
    cfg = setup.recipe.rollout
    params = SamplingParams(
        cfg.max_new_tokens,
        temperature=cfg.temperature,
        top_p=cfg.top_p,
        seed=derive_seed("hinted", trajectory.id, turn),
        stop_ids=setup.chat.stop_ids,
    )
    async with setup.engine.episode(f"hinted/{trajectory.id}/{turn}") as sampler:
        completion = await sampler.sample(prompt, params)
    parsed = setup.chat.read(completion.ids, turn, trajectory.tools)
    before = trajectory.messages[: trajectory.turns()[turn].message_index]
    message = Message("assistant", parsed.content, parsed.tool_calls)
    return replace(trajectory, messages=(*before, message), token_logs=())


async def has_category(critic: Critic, trajectory: Trajectory, category: str) -> bool:
    """Whether the critic finds this category in the trajectory's last turn."""
    last = len(trajectory.turns()) - 1
    findings = await critic.review(trajectory)
    return any(f.category == category and f.turn == last for f in findings)


def share(proportion: Proportion) -> dict[str, Any]:
    """A proportion as JSON values."""
    low, high = proportion.interval
    rounded = [round(low, 4), round(high, 4)]
    return {
        "share": round(proportion.value, 4),
        "interval": rounded,
        "of": proportion.total,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", default="desk", help="folder of the policy")
    parser.add_argument("--episodes", type=int, default=300)
    args = parser.parse_args(arguments)
    recipe = load_recipe(recipe_file(), [f"policy.model={args.policy}"])
    print(json.dumps(asyncio.run(measure(recipe, args.episodes)), indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
