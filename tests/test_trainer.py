"""The train step: without an accepted hint nothing moves, with one the mistake gets less likely."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agentsd.config import Recipe, load_recipe
from agentsd.rundir import open_run
from agentsd.setup import Setup, set_up
from agentsd.trainer import Trainer
from agentsd_envs.desk import recipe

SMALL = ("rollout.episodes=6", "env.options.levels=[1]")


def small_recipe(*overrides: str) -> Recipe:
    return load_recipe(recipe(), [*SMALL, *overrides])


@pytest.fixture(scope="module")
def shared_setup() -> Setup:
    return asyncio.run(set_up(small_recipe()))


def trainer(setup: Setup, tmp_path: Path, *overrides: str) -> Trainer:
    """A trainer over a copy of the policy, so that tests do not meet."""
    policy = copy.deepcopy(setup.policy)
    cfg = small_recipe(*overrides)
    engine = replace(setup.engine, model=policy)  # pyright: ignore[reportArgumentType]
    own = replace(setup, recipe=cfg, policy=policy, engine=engine)
    initial = copy.deepcopy(policy).requires_grad_(False)
    return Trainer(own, initial, open_run(tmp_path / "run", cfg, resume=False))


def weights(of: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in of.setup.policy.parameters()])


def test_a_step_whose_hints_are_all_rejected_changes_no_weight(
    shared_setup: Setup, tmp_path: Path
) -> None:
    made = trainer(shared_setup, tmp_path, "hint.min_drop=1e9")
    before = weights(made)
    metrics = asyncio.run(made.train_step(1))
    assert metrics["distill/branches"] > 0
    assert metrics["distill/accepted"] == 0
    assert torch.equal(weights(made), before)


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.teacher=frozen"],
        ["train.teacher=live"],
        ["train.teacher=live", "train.gradient_checkpointing=true"],
        ["train.strategy=fork", "train.divergence=reverse_kl"],
        ["train.strategy=naive", "train.divergence=jsd"],
        ["train.anchor_weight=0.0", "train.micro_batch_tokens=700"],
    ],
    ids=" ".join,
)
def test_every_way_to_train_takes_a_step(
    shared_setup: Setup, tmp_path: Path, overrides: list[str]
) -> None:
    made = trainer(shared_setup, tmp_path, *overrides)
    before = weights(made)
    metrics = asyncio.run(made.train_step(1))
    assert metrics["distill/accepted"] > 0
    assert metrics["distill/loss"] > 0
    assert not torch.equal(weights(made), before)
    assert torch.isfinite(weights(made)).all()
    assert not made.setup.policy.training


def test_strategies_and_micro_batches_give_the_same_gradient_step(
    shared_setup: Setup, tmp_path: Path
) -> None:
    ways = (["train.strategy=tree"], ["train.strategy=naive", "train.micro_batch_tokens=700"])
    steps = []
    for i, overrides in enumerate(ways):
        made = trainer(shared_setup, tmp_path / str(i), *overrides)
        metrics = asyncio.run(made.train_step(1))
        steps.append((metrics["distill/loss"], metrics["distill/grad_norm"]))
    assert steps[0] == pytest.approx(steps[1], rel=1e-4)
