"""The ``scripted`` engine: says what it was told to say. For tests, demonstrations and replays.

Knows nothing of models; its log-probabilities are 0.0, as of a policy that could say nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agentsd.sampling import Completion, SamplingParams

Script = Callable[[str, int, Sequence[int]], Sequence[int]]
"""(episode id, turn, prompt ids) to the ids of the turn, stop token included."""


@dataclass(slots=True)
class ScriptedEngine:
    """An engine whose every turn is written by ``script``."""

    script: Script
    version: str = "scripted"

    @asynccontextmanager
    async def episode(self, episode_id: str) -> AsyncIterator[ScriptedSampler]:
        """A sampler that counts the turns of one episode."""
        yield ScriptedSampler(self, episode_id)

    async def load(self, weights: Mapping[str, Any], version: str) -> None:
        """A script has no weights; only the version changes."""
        self.version = version


@dataclass(slots=True)
class ScriptedSampler:
    """One episode of a ``ScriptedEngine``."""

    engine: ScriptedEngine
    episode_id: str
    turn: int = 0

    async def sample(self, prompt_ids: Sequence[int], params: SamplingParams) -> Completion:
        """The next turn of the script, cut at ``params.max_tokens``."""
        ids = tuple(self.engine.script(self.episode_id, self.turn, prompt_ids))
        self.turn += 1
        kept = ids[: params.max_tokens]
        reason = "stop" if kept and kept[-1] in params.stop_ids else "length"
        return Completion(kept, (0.0,) * len(kept), reason, self.engine.version)
