"""Load a policy: a Hugging Face causal LM with its tokenizer, from a folder, a hub or a plugin.

Knows nothing of chat, training or engines.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from agentsd.config import PolicyConfig
from agentsd.errors import ConfigError
from agentsd.registry import policy_folder


@dataclass(frozen=True, slots=True)
class Policy:
    """Weights and the tokenizer that belongs to them."""

    model: PreTrainedModel
    tokenizer: Any
    stop_ids: tuple[int, ...]
    """What the generation config says ends a completion."""


def load_policy(cfg: PolicyConfig) -> Policy:
    """Load model and tokenizer. Raises ``ConfigError`` in one line when either cannot be had."""
    source = locate(cfg.model)
    if not sys.stderr.isatty():
        disable_progress_bar()  # bars in a log file hide the one line that matters
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = load_model(cfg, source)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"policy.model: cannot load {cfg.model!r}: {_first_line(error)}; expected a Hugging "
            "Face folder with config.json, weights and tokenizer"
        ) from error
    return Policy(model, tokenizer, _stop_ids(model))


def load_model(cfg: PolicyConfig, source: str | Path) -> PreTrainedModel:
    """The model alone, in evaluation mode on its device."""
    model = AutoModelForCausalLM.from_pretrained(
        source,
        dtype="auto" if cfg.dtype == "auto" else getattr(torch, cfg.dtype),
        attn_implementation=cfg.attention,
    )
    model.to(cfg.device)  # pyright: ignore[reportCallIssue, reportArgumentType] - decorated
    return model.eval()


def locate(name: str) -> str:
    """A folder as it is, a registered policy's folder, or a hub name.

    Raises ``ConfigError`` for what looks like a path and is none.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path)
    if (folder := policy_folder(name)) is not None:
        return str(folder)
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_like_path or path.exists():
        raise ConfigError(
            f"policy.model: there is no folder {name!r}; expected a Hugging Face folder, a "
            "registered policy such as 'desk', or a hub name such as 'org/model'"
        )
    return name


def _stop_ids(model: PreTrainedModel) -> tuple[int, ...]:
    generation = model.generation_config
    eos = generation.eos_token_id if generation is not None else None
    if eos is None:
        return ()
    return tuple(eos) if isinstance(eos, list) else (int(eos),)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
