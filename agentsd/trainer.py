"""Targeted on-policy self-distillation: the loop that the rest of the package serves.

Knows nothing of any environment, critic or model architecture, nor of how a run is shown.

Shape suffixes: B sequences, T tokens, D hidden, N selected tokens, V vocabulary.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.optim import AdamW
from transformers import PreTrainedModel

from agentsd.batching import micro_batches
from agentsd.causal_lm import hidden_states
from agentsd.checkpoint import restore, save
from agentsd.config import TrainConfig
from agentsd.distill import Judged, Scale, anchor_logits, distill, thinned_anchors
from agentsd.evaluate import evaluate
from agentsd.metrics import Metrics, branch_row, step_metrics
from agentsd.review import review
from agentsd.rollout import Plan, usable
from agentsd.rundir import RunDir, trajectory_id
from agentsd.seeds import derive_seed
from agentsd.selection import Example, Selection, select
from agentsd.setup import Setup
from agentsd.targets import OnePass, one_pass
from agentsd.types import Finding, Trajectory

OnStep = Callable[[int, Metrics], None]
"""Told of every step once it is recorded."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One micro-batch after the forward passes: all that the loss is made of."""

    examples: tuple[Example, ...]
    targets: OnePass
    initial_NV: tuple[Tensor, ...]
    """The initial policy's logits at each example's anchors; empty without an anchor term."""


@dataclass(slots=True)
class Trainer:
    """One run: its setup, its directory and its optimizer."""

    setup: Setup
    initial: PreTrainedModel
    """The policy as it was at the start: the frozen teacher, and what anchors hold on to."""
    run: RunDir
    optimizer: AdamW = field(init=False)

    def __post_init__(self) -> None:
        cfg, policy = self.setup.recipe.train, self.setup.policy
        self.optimizer = AdamW(policy.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay)
        if cfg.gradient_checkpointing:
            recompute_activations(policy)

    async def train_step(self, step: int) -> Metrics:
        """One step of the method."""
        trajectories = await self.rollout(step)
        findings = await self.review(trajectories)
        selection = self.select(trajectories, findings)
        lessons = self.hinted_forward(step, selection.examples)
        judged, losses = self.distill(lessons, len(selection.examples))
        return self.record(step, trajectories, findings, selection, judged, losses)

    async def rollout(self, step: int) -> list[Trajectory]:
        """Let the policy work on tasks drawn for this step."""
        seed, count = self.setup.recipe.train.seed, self.setup.recipe.rollout.episodes
        rng = random.Random(derive_seed(seed, "tasks", step))
        tasks = rng.choices(self.setup.taskset.tasks("train"), k=count)
        plans = [
            Plan(trajectory_id(step, i), task, derive_seed(seed, "episode", step, i))
            for i, task in enumerate(tasks)
        ]
        return await self.setup.rollout().run(
            plans, lambda trajectory: self.run.append_trajectory(step, trajectory)
        )

    async def review(self, trajectories: Sequence[Trajectory]) -> list[Finding]:
        """Ask the critic which calls were wrong and what would have helped."""
        counted = usable(trajectories)
        findings = await review(counted, [self.setup.critic])
        self.run.append_findings(counted, findings)
        return findings

    def select(self, trajectories: Sequence[Trajectory], findings: Sequence[Finding]) -> Selection:
        """Map findings to branches: where the hint goes, which tokens are judged."""
        return select(usable(trajectories), findings, self.setup.chat, self.setup.recipe.hint.role)

    def hinted_forward(self, step: int, examples: Sequence[Example]) -> Iterator[Lesson]:
        """One pass for each micro-batch, made when it is needed: student, teacher, anchors."""
        cfg = self.setup.recipe.train
        rng = random.Random(derive_seed(cfg.seed, "anchors", step))
        thinned = [
            replace(
                e, anchors=thinned_anchors(e, cfg.anchor_tokens, rng) if cfg.anchor_weight else ()
            )
            for e in examples
        ]
        sequences = [_needed_ids(example) for example in thinned]
        lengths = [len(ids) for ids in sequences]
        for indices in micro_batches(lengths, cfg.micro_batch_tokens):
            yield self._lesson([thinned[i] for i in indices], [sequences[i] for i in indices])

    def _lesson(self, examples: Sequence[Example], sequences: Sequence[Sequence[int]]) -> Lesson:
        cfg = self.setup.recipe.train
        branches = [[c.branch for c in example.candidates] for example in examples]
        teacher = self.initial if cfg.teacher == "frozen" else None
        targets = one_pass(self.setup.policy, sequences, branches, cfg.strategy, teacher=teacher)
        if not cfg.anchor_weight:
            return Lesson(tuple(examples), targets, ())
        with torch.no_grad():
            hidden_BTD = targets.teacher_hidden_BTD
            if hidden_BTD is None:
                hidden_BTD = hidden_states(self.initial, sequences)
            initial_NV = tuple(
                anchor_logits(self.initial, hidden_BTD[row], example.anchors)
                for row, example in enumerate(examples)
            )
        return Lesson(tuple(examples), targets, initial_NV)

    def distill(self, lessons: Iterator[Lesson], num_examples: int) -> tuple[list[Judged], Metrics]:
        """Move the unhinted policy towards the targets; one optimizer step."""
        cfg = self.setup.recipe.train
        scale = Scale(num_examples, self.setup.recipe.hint.min_drop)
        judged: list[Judged] = []
        loss, anchor_kl = 0.0, 0.0
        # Recomputing activations needs training mode; otherwise dropout, if any, stays off.
        self.setup.policy.train(cfg.gradient_checkpointing)
        for lesson in lessons:
            part = distill(
                self.setup.policy, lesson.examples, lesson.targets, lesson.initial_NV, cfg, scale
            )
            part.loss.backward()
            judged.extend(part.judged)
            loss, anchor_kl = loss + part.loss.item(), anchor_kl + part.anchor_kl
        grad_norm = torch.nn.utils.clip_grad_norm_(
            self.setup.policy.parameters(), cfg.max_grad_norm
        )
        # AdamW scales every gradient to the same size, so a step without a lesson would be noise.
        if any(j.verdict.is_accepted for j in judged):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.setup.policy.eval()
        return judged, {
            "distill/loss": loss,
            "distill/anchor_kl": anchor_kl / max(1, num_examples),
            "distill/grad_norm": float(grad_norm),
        }

    def record(
        self,
        step: int,
        trajectories: Sequence[Trajectory],
        findings: Sequence[Finding],
        selection: Selection,
        judged: Sequence[Judged],
        losses: Metrics,
    ) -> Metrics:
        """Write the step's branches and metrics down. Returns the metrics."""
        metrics = step_metrics(evaluate(trajectories, findings), selection, judged) | losses
        self.run.append(self.run.branches, [branch_row(step, j, self.setup.chat) for j in judged])
        self.run.append(self.run.metrics, [{"step": step, **metrics}])
        return metrics

    async def train(self, on_step: OnStep) -> None:
        """Take the steps that are left, from the last checkpoint on."""
        cfg = self.setup.recipe.train
        start = await self.resume()
        for step in range(start + 1, cfg.steps + 1):
            started = time.monotonic()
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(cfg, step)
            metrics = await self.train_step(step)
            await self.setup.engine.load({}, str(step))
            if step % cfg.checkpoint_every == 0 or step == cfg.steps:
                save(
                    self.run.checkpoints,
                    step,
                    self.setup.policy,
                    self.setup.tokenizer,
                    self.optimizer,
                )
            on_step(step, metrics | {"time/step_s": time.monotonic() - started})

    async def resume(self) -> int:
        """Put the last checkpoint back and set aside what was recorded after it."""
        checkpoint = self.run.last_checkpoint()
        step = checkpoint.step if checkpoint else 0
        if checkpoint:
            restore(checkpoint, self.setup.policy, self.optimizer)
        self.run.rewind(step)
        await self.setup.engine.load({}, str(step))
        return step


def learning_rate(cfg: TrainConfig, step: int) -> float:
    """Of a step, the first of which is 1; it depends on nothing else, so a resumed run agrees.

    >>> learning_rate(TrainConfig(lr=1.0, steps=4), 3)
    0.5
    """
    return cfg.lr * (1 - (step - 1) / cfg.steps) if cfg.lr_decay == "linear" else cfg.lr


def recompute_activations(policy: PreTrainedModel) -> None:
    """Turn gradient checkpointing on: less memory, one more forward."""
    # transformers 5.23 renamed it and warns at the old name; drop the old one with 5.22.
    enable = getattr(policy, "activation_checkpointing_enable", None)
    (enable or policy.gradient_checkpointing_enable)()


def _needed_ids(example: Example) -> tuple[int, ...]:
    """The ids up to the last token that is judged or held."""
    last = max([*example.anchors, *(c.branch.span.stop - 1 for c in example.candidates)], default=0)
    return example.log.ids[: last + 1]
