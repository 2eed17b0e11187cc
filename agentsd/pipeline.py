"""A whole run: judge the policy, train it, judge it again, write the summary and the report.

Every stage leaves its files behind, so that a killed run goes on from its last checkpoint and ends
with the same weights. Knows nothing of command lines.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from agentsd.config import Recipe
from agentsd.errors import ConfigError
from agentsd.evaluate import Evaluation, Proportion, drift, evaluate
from agentsd.metrics import Metrics
from agentsd.progress import progress
from agentsd.report import write_report
from agentsd.review import review
from agentsd.rollout import Plan, usable
from agentsd.rundir import RunDir, open_run
from agentsd.seeds import derive_seed
from agentsd.setup import Setup, running
from agentsd.store import (
    appending_trajectories,
    read_trajectories,
    write_findings,
    write_trajectories,
)
from agentsd.trainer import Trainer
from agentsd.types import Finding, Trajectory


async def run_recipe(
    recipe: Recipe, out: Path, console: Console, *, resume: bool = False
) -> Mapping[str, Any]:
    """Run a recipe into ``out``. Returns the summary.

    Raises ``ConfigError`` before anything is written when the recipe cannot work.
    """
    started = time.monotonic()
    async with running(recipe) as setup:
        return await _run(setup, out, console, started=started, resume=resume)


async def _run(
    setup: Setup, out: Path, console: Console, *, started: float, resume: bool
) -> Mapping[str, Any]:
    recipe = setup.recipe
    initial = copy.deepcopy(setup.policy).requires_grad_(False)
    run = open_run(out, recipe, resume=resume)
    trainer = Trainer(setup, initial, run)
    before, found = await _judged(setup, run, "before", console)
    with progress(console, "train", recipe.train.steps) as tick:
        await trainer.train(lambda step, metrics: tick(_line(metrics)))
    after, found_after = await _judged(setup, run, "after", console)
    summary = {
        "before": _evaluation(evaluate(before, found)),
        "after": _evaluation(evaluate(after, found_after)),
        "drift_nats": _number(drift(setup.policy, initial, before, found)),
        "trajectories": recipe.train.steps * recipe.rollout.episodes,
        "seconds": round(time.monotonic() - started, 1),
        "steps": recipe.train.steps,
        "seed": recipe.train.seed,
        "policy": recipe.policy.model,
        "env": recipe.env.name,
    }
    run.write_json(run.summary, summary)
    write_report(run)
    return summary


async def rollout_recipe(
    recipe: Recipe, out: Path, console: Console, *, split: str, episodes: int | None
) -> int:
    """Run the policy on ``episodes`` tasks of a split, each written as it ends. Returns how many.

    Raises ``ConfigError``, also when ``out`` exists: what was recorded is not overwritten.
    """
    if out.exists():
        raise ConfigError(f"{out}: exists; choose another file")
    async with running(recipe) as setup:
        return await _rollout(setup, out, console, split=split, episodes=episodes)


async def _rollout(
    setup: Setup, out: Path, console: Console, *, split: str, episodes: int | None
) -> int:
    tasks = setup.taskset.tasks(split)
    plans = [
        Plan(
            f"{split}/{i:05d}",
            tasks[i % len(tasks)],
            derive_seed(setup.recipe.train.seed, "rollout", i),
        )
        for i in range(episodes or len(tasks))
    ]
    with progress(console, "rollout", len(plans)) as tick, appending_trajectories(out) as append:

        def done(trajectory: Trajectory) -> None:
            append(trajectory)
            tick("")

        return len(await setup.rollout().run(plans, done))


async def evaluate_recipe(recipe: Recipe, console: Console) -> Mapping[str, Any]:
    """Judge a recipe's policy on its held-out tasks. Returns one side of a summary."""
    async with running(recipe) as setup:
        trajectories = await _evaluation_rollout(setup, "eval", console)
        findings = await review(usable(trajectories), [setup.critic])
    return _evaluation(evaluate(trajectories, findings))


async def _judged(
    setup: Setup, run: RunDir, name: str, console: Console
) -> tuple[list[Trajectory], list[Finding]]:
    """Held-out trajectories of the policy as it is, unless that was done before a kill."""
    path = run.evaluation(name)
    if path.exists():
        trajectories = list(read_trajectories(path))
    else:
        trajectories = await _evaluation_rollout(setup, name, console)
        write_trajectories(path, trajectories)
    findings = await review(usable(trajectories), [setup.critic])
    by_id: dict[str, list[Finding]] = {trajectory.id: [] for trajectory in trajectories}
    for finding in findings:
        by_id[finding.trajectory_id].append(finding)
    write_findings(run.eval_findings(name), [(t, by_id[t.id]) for t in trajectories])
    return trajectories, findings


async def _evaluation_rollout(setup: Setup, name: str, console: Console) -> list[Trajectory]:
    """The same tasks and seeds for every ``name``, so that evaluations are paired."""
    plans = _evaluation_plans(setup, name)
    with progress(console, f"evaluate {name}", len(plans)) as tick:
        return await setup.rollout().run(plans, lambda _: tick(""))


def _evaluation_plans(setup: Setup, name: str) -> Sequence[Plan]:
    cfg = setup.recipe.eval
    tasks = setup.taskset.tasks("test")
    rng = random.Random(derive_seed(cfg.seed, "eval"))
    chosen = rng.sample(tasks, min(cfg.episodes, len(tasks)))
    return [
        Plan(f"{name}/{i:03d}", task, derive_seed(cfg.seed, "eval", i))
        for i, task in enumerate(chosen)
    ]


def _evaluation(evaluation: Evaluation) -> dict[str, Any]:
    categories = evaluation.by_category.items()
    return {
        "error_rate": _number(evaluation.errors.value),
        "error_rate_interval": _interval(evaluation.errors),
        "calls": evaluation.errors.total,
        "success": _number(evaluation.success.value),
        "success_interval": _interval(evaluation.success),
        "episodes": evaluation.episodes,
        "void": sum(evaluation.void.values()),
        "by_category": {category: _share(share) for category, share in categories},
    }


def _share(share: Proportion) -> dict[str, Any]:
    return {"rate": share.value, "interval": _interval(share), "count": share.count}


def _interval(share: Proportion) -> list[float | None]:
    return [_number(bound) for bound in share.interval]


def _number(value: float) -> float | None:
    """JSON has no NaN: what is undefined, such as the share of nothing, is null."""
    return value if math.isfinite(value) else None


def _line(metrics: Metrics) -> str:
    return (
        f"errors/call {metrics['critic/error_rate']:.3f}  "
        f"success {metrics['rollout/success']:.2f}  "
        f"hints {metrics['distill/accepted']:.0f}/{metrics['distill/branches']:.0f}  "
        f"loss {metrics['distill/loss']:.3f}  {metrics['time/step_s']:.1f} s"
    )
