"""Decode a batch of prompts with a Hugging Face causal LM, reusing what was computed before.

Rows are padded on the left, so that every row's last token is in the last column. A row's keys and
values are kept between turns where every layer is full attention; other models prefill the whole
prompt. Knows nothing of batching in time, messages or training.

Shape suffixes: B rows, T tokens, V vocabulary, H heads, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from agentsd.sampling import Completion, SamplingParams


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt to continue, and the episode that it belongs to."""

    episode_id: str
    prompt_ids: tuple[int, ...]
    params: SamplingParams


@dataclass(frozen=True, slots=True)
class PrefixCache:
    """The keys and values of tokens that an episode has already run through the model."""

    ids: tuple[int, ...]
    layers: tuple[tuple[Tensor, Tensor], ...]
    """Per layer (keys_HTD, values_HTD), without padding."""


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    requests: Sequence[Request],
    prefixes: MutableMapping[str, PrefixCache],
    version: str,
) -> list[Completion]:
    """Continue every prompt until its stop token or its limit. Updates ``prefixes``.

    Log-probabilities are those of the unscaled distribution, whatever temperature is drawn at.
    """
    was_training = model.training
    model.eval()
    reuse = keeps_full_prefix(model)
    known = [_known_prefix(prefixes, request) if reuse else None for request in requests]
    batch = _Batch.prefill(model, requests, known)
    rows = _Rows(requests, model.device)
    while rows.take(batch.logits_BV):
        batch.step(model, rows.last_B)
    if reuse:
        for row, request in enumerate(requests):
            prefixes[request.episode_id] = batch.prefix_of(row, rows.ids[row])
    model.train(was_training)
    return rows.completions(version)


def keeps_full_prefix(model: PreTrainedModel) -> bool:
    """Whether every layer's cache is its keys and values of all tokens, so that rows can be cut."""
    config = model.config.get_text_config()
    types = getattr(config, "layer_types", None)
    if types is not None:
        return set(types) == {"full_attention"}
    return getattr(config, "sliding_window", None) is None and not _has_recurrence(config)


def _has_recurrence(config: Any) -> bool:
    """Configurations without ``layer_types`` say so by the size of their state."""
    return any(hasattr(config, name) for name in ("ssm_cfg", "state_size", "mamba_d_state"))


def _known_prefix(prefixes: Mapping[str, PrefixCache], request: Request) -> PrefixCache | None:
    """What can be reused of the episode's last turn: a true prefix that leaves a token to run."""
    cache = prefixes.get(request.episode_id)
    if cache is None or len(cache.ids) >= len(request.prompt_ids):
        return None
    return cache if request.prompt_ids[: len(cache.ids)] == cache.ids else None


@dataclass(slots=True)
class _Batch:
    """The state of one batch between two tokens."""

    cache: DynamicCache
    mask_BT: Tensor
    """1 where the cache holds a real token."""
    positions_B: Tensor
    """The next position of each row."""
    logits_BV: Tensor
    prompts: list[tuple[int, ...]]

    @classmethod
    def prefill(
        cls,
        model: PreTrainedModel,
        requests: Sequence[Request],
        known: Sequence[PrefixCache | None],
    ) -> _Batch:
        """Run what is new of every prompt."""
        prompts = [request.prompt_ids for request in requests]
        done = [len(cache.ids) if cache else 0 for cache in known]
        new = [list(prompt[start:]) for prompt, start in zip(prompts, done, strict=True)]
        ids_BT, fresh_BT = _left_padded(new, model.device)
        cached_BT = _left_padded([[1] * n for n in done], model.device)[1]
        mask_BT = torch.cat([cached_BT, fresh_BT], dim=1)
        cache = _stacked(model, known, cached_BT.shape[1])
        start_B1 = torch.tensor(done, device=model.device)[:, None]
        positions_BT = (start_B1 + fresh_BT.cumsum(1) - 1).clamp(min=0)
        out = model(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=positions_BT,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return cls(
            out.past_key_values, mask_BT, positions_BT[:, -1] + 1, out.logits[:, -1], prompts
        )

    def step(self, model: PreTrainedModel, ids_B: Tensor) -> None:
        """Run one more token of every row; rows that are finished run on, unread."""
        self.mask_BT = torch.cat([self.mask_BT, self.mask_BT.new_ones(len(ids_B), 1)], dim=1)
        out = model(
            input_ids=ids_B[:, None],
            attention_mask=self.mask_BT,
            position_ids=self.positions_B[:, None],
            past_key_values=self.cache,
            use_cache=True,
        )
        self.positions_B = self.positions_B + 1
        self.logits_BV = out.logits[:, -1]

    def prefix_of(self, row: int, sampled: Sequence[int]) -> PrefixCache:
        """The row's own keys and values: its prompt and all sampled tokens but the last."""
        ids = (*self.prompts[row], *sampled[:-1])
        columns = self.mask_BT[row].nonzero()[: len(ids), 0]
        layers = tuple(
            (layer.keys[row][:, columns], layer.values[row][:, columns])  # pyright: ignore
            for layer in self.cache.layers
        )
        return PrefixCache(ids, layers)


@dataclass(slots=True)
class _Rows:
    """What has been drawn for each row, and with which generator."""

    requests: Sequence[Request]
    device: torch.device
    ids: list[list[int]]
    logprobs: list[list[float]]
    open: list[bool]
    generators: list[torch.Generator]

    def __init__(self, requests: Sequence[Request], device: torch.device) -> None:
        self.requests, self.device = requests, device
        self.ids = [[] for _ in requests]
        self.logprobs = [[] for _ in requests]
        self.open = [True] * len(requests)
        # On the CPU, so that a seed means the same on every device.
        self.generators = [
            torch.Generator().manual_seed(request.params.seed) for request in requests
        ]

    @property
    def last_B(self) -> Tensor:
        """The last token of every row."""
        return torch.tensor([ids[-1] for ids in self.ids], device=self.device)

    def take(self, logits_BV: Tensor) -> bool:
        """Draw the next token of every open row. Returns whether any row goes on."""
        logprobs_BV = logits_BV.float().log_softmax(-1).cpu()
        for row, request in enumerate(self.requests):
            if self.open[row]:
                self._take_row(row, logprobs_BV[row], request.params)
        return any(self.open)

    def _take_row(self, row: int, logprobs_V: Tensor, params: SamplingParams) -> None:
        token = draw(logprobs_V, params, self.generators[row])
        self.ids[row].append(token)
        self.logprobs[row].append(logprobs_V[token].item())
        is_full = len(self.ids[row]) >= params.max_tokens
        self.open[row] = token not in params.stop_ids and not is_full

    def completions(self, version: str) -> list[Completion]:
        """What was drawn, row by row."""
        return [
            Completion(
                tuple(ids),
                tuple(logprobs),
                "stop" if ids[-1] in request.params.stop_ids else "length",
                version,
            )
            for request, ids, logprobs in zip(self.requests, self.ids, self.logprobs, strict=True)
        ]


def draw(logprobs_V: Tensor, params: SamplingParams, generator: torch.Generator) -> int:
    """One token by inverse transform sampling from the nucleus of the tempered distribution.

    The nucleus is the smallest set of most likely tokens whose mass reaches ``top_p`` (Holtzman et
    al., 2020, arXiv 1904.09751).
    """
    if params.temperature == 0.0:
        return int(logprobs_V.argmax())
    probs_V = (logprobs_V.double() / params.temperature).softmax(-1)
    probs_V, tokens_V = probs_V.sort(descending=True, stable=True)
    mass_V = probs_V.cumsum(-1)
    kept = int((mass_V < params.top_p).sum()) + 1
    mass_V = mass_V[:kept]
    u = torch.rand(1, generator=generator, dtype=torch.float64) * mass_V[-1]
    return int(tokens_V[torch.searchsorted(mass_V, u, right=True).clamp(max=len(mass_V) - 1)])


def _left_padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """(ids_BT, mask_BT) with every row at the right edge; pads are token 0 under mask 0."""
    width = max(len(row) for row in rows)
    ids_BT = torch.zeros(len(rows), width, dtype=torch.long)
    mask_BT = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        if row:
            ids_BT[i, width - len(row) :] = torch.tensor(row)
            mask_BT[i, width - len(row) :] = 1
    return ids_BT.to(device), mask_BT.to(device)


def _stacked(
    model: PreTrainedModel, known: Sequence[PrefixCache | None], width: int
) -> DynamicCache:
    """One cache of all rows, padded on the left; the model's own empty cache when none is known."""
    first = next((cache for cache in known if cache), None)
    if first is None:
        return DynamicCache(config=model.config)
    stacked = DynamicCache()
    for index, (keys_HTD, values_HTD) in enumerate(first.layers):
        shape = (len(known), keys_HTD.shape[0], width, keys_HTD.shape[2])
        keys_BHTD, values_BHTD = keys_HTD.new_zeros(shape), values_HTD.new_zeros(shape)
        for row, cache in enumerate(known):
            if cache:
                keys_BHTD[row, :, width - len(cache.ids) :] = cache.layers[index][0]
                values_BHTD[row, :, width - len(cache.ids) :] = cache.layers[index][1]
        stacked.update(keys_BHTD, values_BHTD, index)
    return stacked
