"""The ``hf`` engine: samples from a Hugging Face causal LM in this process, episodes in batches.

A batch starts when every open episode waits for one, or ``batch_wait_s`` after the first request;
so fast tools make full batches, and the same requests make the same batches. Knows nothing of
messages, tools or training.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedModel

from agentsd.engines.decoding import PrefixCache, Request, decode
from agentsd.sampling import Completion, SamplingParams


@dataclass(slots=True)
class HfEngine:
    """Batches the requests of all open episodes over one model, which training may share.

    ``version`` names the weights. Completions of one seed are the same whatever the batch, up to
    floating-point rounding.
    """

    model: PreTrainedModel
    version: str = "0"
    batch_wait_s: float = 0.05
    max_batch: int = 64
    _open: int = field(default=0, init=False)
    _waiting: list[tuple[Request, asyncio.Future[Completion]]] = field(
        default_factory=list, init=False
    )
    _arrival: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _decoding: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _prefixes: dict[str, PrefixCache] = field(default_factory=dict, init=False)

    @asynccontextmanager
    async def episode(self, episode_id: str) -> AsyncIterator[HfSampler]:
        """A place in the batch, with a cache of its prefix, until the context ends."""
        self._open += 1
        try:
            yield HfSampler(self, episode_id)
        finally:
            self._open -= 1
            self._prefixes.pop(episode_id, None)
            self._arrival.set()

    async def load(self, weights: Mapping[str, Any], version: str) -> None:
        """Replace the weights once the batch under way is done. Raises on missing or unknown names.

        An empty mapping says that the model's own parameters were changed in place.
        """
        async with self._decoding:
            if weights:
                self.model.load_state_dict(dict(weights), strict=True)
            self._prefixes.clear()
            self.version = version

    async def _sample(self, request: Request) -> Completion:
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        item = (request, future)
        self._waiting.append(item)
        self._arrival.set()
        try:
            await self._wait_for_batch(future)
            if not future.done():
                # Shielded: a caller that is cancelled must not take the others' batch with it.
                await asyncio.shield(asyncio.ensure_future(self._decode_for(future)))
            return await future
        finally:
            if item in self._waiting:  # cancelled before its batch
                self._waiting.remove(item)

    async def _wait_for_batch(self, future: asyncio.Future[Completion]) -> None:
        """Until every open episode waits, the batch is full, or time is up."""
        await asyncio.sleep(0)  # episodes that start together are all open after this
        deadline = asyncio.get_running_loop().time() + self.batch_wait_s
        while not future.done() and len(self._waiting) < min(self._open, self.max_batch):
            self._arrival.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._arrival.wait()
            except TimeoutError:
                return

    async def _decode_for(self, future: asyncio.Future[Completion]) -> None:
        async with self._decoding:
            if not future.done():
                await self._decode_waiting()

    async def _decode_waiting(self) -> None:
        """Decode the requests that wait, in the order of their episodes, and hand out the results.

        Raises what the model raised, to every caller of the batch.
        """
        batch = sorted(self._waiting, key=lambda item: item[0].episode_id)[: self.max_batch]
        self._waiting = [item for item in self._waiting if item not in batch]
        requests = [request for request, _ in batch]
        try:
            completions = await asyncio.to_thread(
                decode, self.model, requests, self._prefixes, self.version
            )
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            raise
        for (_, future), completion in zip(batch, completions, strict=True):
            if not future.done():
                future.set_result(completion)


@dataclass(frozen=True, slots=True)
class HfSampler:
    """One episode's place in an ``HfEngine``."""

    engine: HfEngine
    episode_id: str

    async def sample(self, prompt_ids: Sequence[int], params: SamplingParams) -> Completion:
        """Draw one completion. Raises ``ValueError`` for an empty prompt."""
        if not prompt_ids:
            raise ValueError("an empty prompt predicts nothing; give at least one token")
        return await self.engine._sample(Request(self.episode_id, tuple(prompt_ids), params))
