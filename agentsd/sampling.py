"""What an engine is asked and what it answers. Knows nothing of messages, files or models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to draw one completion."""

    max_tokens: int
    temperature: float = 1.0
    """0.0 is greedy."""
    top_p: float = 1.0
    seed: int = 0
    stop_ids: tuple[int, ...] = ()
    """Tokens that end the completion; the one met is part of it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine sampled: tokens in, tokens out, no text in between."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of the unscaled model distribution (temperature 1), one per id, in nats."""
    finish_reason: Literal["stop", "length"]
    version: str
    """The policy version that produced it."""
