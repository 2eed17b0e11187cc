"""Load and check everything a recipe names, before any of it is used.

Knows nothing of what will be done with it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import PreTrainedModel

from agentsd.chat import Chat
from agentsd.config import Recipe
from agentsd.engines.hf import HfEngine
from agentsd.errors import ConfigError, InfraError
from agentsd.interfaces import Critic, Engine, Taskset, Warm
from agentsd.policy import load_policy
from agentsd.registry import load_critic, load_taskset
from agentsd.rollout import Rollout
from agentsd.targets import check_empty_hint
from agentsd.types import Message, Role, ToolSpec

HINTED_AFTER: tuple[Role, ...] = ("user", "tool")
"""What a turn, and so a hint, may follow."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A recipe and what it names, loaded; made by ``set_up``."""

    recipe: Recipe
    policy: PreTrainedModel
    tokenizer: Any
    chat: Chat
    taskset: Taskset
    engine: Engine
    """Samples from ``policy`` itself: an optimizer step is seen without any transfer."""
    critic: Critic

    def rollout(self) -> Rollout:
        """Episodes of this policy in this environment."""
        cfg = self.recipe
        return Rollout(self.taskset, self.engine, self.chat, cfg.rollout, cfg.env.name)


@asynccontextmanager
async def running(recipe: Recipe) -> AsyncGenerator[Setup]:
    """What ``set_up`` gives, with what its environment keeps started until the context ends."""
    setup = await set_up(recipe)
    if not isinstance(setup.taskset, Warm):
        yield setup
        return
    async with setup.taskset.running() as taskset:
        yield replace(setup, taskset=taskset)


async def set_up(recipe: Recipe) -> Setup:
    """Load policy, environment and critic and check that they work together.

    Raises ``ConfigError`` in one line: no model, no chat template, no room for the hint, an
    environment that does not start, or a model for which the one pass is not exact.
    """
    torch.manual_seed(recipe.train.seed)
    taskset = load_taskset(recipe.env.name, recipe.env.options)
    critic = load_critic(recipe.critic.name, recipe.critic.options)
    messages, tools = await _first_prompt(taskset)
    policy = load_policy(recipe.policy)
    chat = Chat.from_tokenizer(policy.tokenizer, recipe.policy.tool_form, stop_ids=policy.stop_ids)
    for after in HINTED_AFTER:
        chat.hint("Look again.", recipe.hint.role, after)
    check_empty_hint(
        policy.model, chat.open(messages, tools) + chat.header(), recipe.train.strategy
    )
    engine = HfEngine(policy.model, batch_wait_s=recipe.rollout.batch_wait_s)
    return Setup(recipe, policy.model, policy.tokenizer, chat, taskset, engine, critic)


async def _first_prompt(taskset: Taskset) -> tuple[Sequence[Message], Sequence[ToolSpec]]:
    """What the policy is shown first in the first task; also proves that the env starts."""
    env = taskset.env(taskset.tasks("train")[0])
    try:
        messages = await env.open()
        return messages, env.tools
    except InfraError as error:
        raise ConfigError(f"the environment does not start: {error}") from error
    finally:
        await env.close()
