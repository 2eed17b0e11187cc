"""Recipes: one TOML file, typed sections, ``key=value`` overrides, unknown keys refused.

Knows nothing of what the values do; never imports torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from agentsd.errors import ConfigError


class Section(BaseModel):
    """A table of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicyConfig(Section):
    """The weights to be trained."""

    model: str
    """A Hugging Face folder or hub name, or ``desk`` for the policy that ships with agentsd."""
    dtype: Literal["float32", "bfloat16", "auto"] = "float32"
    device: str = "cpu"
    attention: str | None = None
    """``attn_implementation``; None lets transformers choose."""
    tool_form: str | None = None
    """How the policy writes calls; None reads it off the chat template."""


class EnvConfig(Section):
    """Where tasks and environments come from."""

    name: str
    """A registered environment or ``module:attr``."""
    options: dict[str, Any] = {}
    """Passed to the environment's factory."""


class RolloutConfig(Section):
    """How episodes are run."""

    episodes: PositiveInt = 32
    """Per training step."""
    concurrency: PositiveInt = 64
    max_turns: PositiveInt = 32
    max_new_tokens: PositiveInt = 1024
    """Per turn."""
    max_tokens: PositiveInt = 16384
    """Of the whole conversation."""
    temperature: NonNegativeFloat = 1.0
    top_p: PositiveFloat = 1.0
    episode_timeout_s: PositiveFloat = 600.0
    batch_wait_s: NonNegativeFloat = 0.05
    """How long a batch waits for episodes that are busy with tools."""


class CriticConfig(Section):
    """Who reads the trajectories."""

    name: str = "rules"
    """A registered critic or ``module:attr``."""
    options: dict[str, Any] = {}
    """Passed to the critic's factory."""


class HintConfig(Section):
    """Where hints go and which of them may teach."""

    role: Literal["user", "system", "tool"] = "user"
    """The role of the message that carries a hint, right above the assistant turn."""
    min_drop: NonNegativeFloat = 1.0
    """Gate: nats by which the hint must lower the log-probability of the erroneous span."""


class TrainConfig(Section):
    """How the policy learns."""

    steps: PositiveInt = 20
    seed: NonNegativeInt = 0
    lr: PositiveFloat = 1e-6
    lr_decay: Literal["none", "linear"] = "linear"
    """Over the run, towards zero: late steps have few mistakes to learn from and much noise."""
    weight_decay: NonNegativeFloat = 0.0
    max_grad_norm: PositiveFloat = 1.0
    teacher: Literal["live", "frozen"] = "frozen"
    """Whose hinted view gives the targets: the policy as it is, or as it was at the start."""
    strategy: Literal["auto", "tree", "fork", "naive"] = "auto"
    divergence: Literal["forward_kl", "reverse_kl", "jsd"] = "forward_kl"
    token_cap: PositiveFloat = 10.0
    """Nats that one token may contribute."""
    anchor_weight: NonNegativeFloat = 0.5
    """Of the KL to the initial policy on sampled tokens that no finding covers."""
    anchor_tokens: PositiveInt = 256
    """At most so many of those per trajectory, drawn at random: bounds the memory of the loss."""
    micro_batch_tokens: PositiveInt = 16384
    """Padded tokens that go through the model at once."""
    gradient_checkpointing: bool = False
    checkpoint_every: PositiveInt = 5


class EvalConfig(Section):
    """How the policy is judged, before and after."""

    episodes: PositiveInt = 120
    seed: NonNegativeInt = 1


class Recipe(Section):
    """Everything that defines a run."""

    policy: PolicyConfig
    env: EnvConfig
    rollout: RolloutConfig = RolloutConfig()
    critic: CriticConfig = CriticConfig()
    hint: HintConfig = HintConfig()
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe. ``overrides`` are ``section.key=value`` with TOML values.

    Raises ``ConfigError`` naming the file and the key.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the recipe: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    for override in overrides:
        _apply(tables, override)
    return parse_recipe(tables, str(path))


def parse_recipe(tables: Mapping[str, Any], source: str) -> Recipe:
    """Check the tables of a recipe. Raises ``ConfigError`` naming ``source`` and the first key."""
    try:
        return Recipe.model_validate(tables)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ConfigError(f"{source}: {key}: {first['msg']}{more}") from error


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Options of a factory, given as ``key=value`` with TOML values. Raises ``ConfigError``.

    >>> parse_options(["count=5", "levels=[1, 2]", "name=desk"])
    {'count': 5, 'levels': [1, 2], 'name': 'desk'}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise ConfigError(f"option {pair!r} is not of the form key=value")
        options[key.strip()] = _value(text.strip())
    return options


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as TOML with every default filled in; what is None is left out."""
    return tomli_w.dumps(recipe.model_dump(exclude_none=True))


def _apply(tables: dict[str, Any], override: str) -> None:
    """Set one ``section.key=value`` in the tables."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) < 2 or not all(parts):
        raise ConfigError(f"override {override!r} is not of the form section.key=value")
    table: Any = tables
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"override {override!r}: {part} is a value, not a section")
    table[parts[-1]] = _value(text.strip())


def _value(text: str) -> Any:
    """A TOML value; what is not one is a string, so that quotes may be left out."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
