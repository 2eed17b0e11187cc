"""Three ways to the hidden states of branches: tree, fork and naive. All give the same numbers.

Each takes a batch of sequences and, for each sequence, the tails of its branches, and returns the
hidden states of the rows that predict each span: without gradient, one ``(span_len, D)`` tensor for
each branch.

Shape suffixes: B sequences, T tokens, M tokens of the packed tails, D hidden, H heads.
Knows nothing of logits, losses or who the teacher is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from agentsd.branches import Tail, pack
from agentsd.causal_lm import (
    cache_kept,
    decode,
    decoder_config,
    hidden_states,
    padded,
    rotates_by_length,
    takes_a_cache,
    takes_any_mask,
)
from agentsd.masks import branch_masks, lay_out

Sequences = Sequence[Sequence[int]]
Tails = Sequence[Sequence[Tail]]
"""The tails of each sequence of a batch."""
Rows = list[list[Tensor]]
"""Hidden states of the rows that predict each span, for each sequence; (span_len, D) each."""

Strategy = Literal["tree", "fork", "naive"]


@dataclass(frozen=True, slots=True)
class Grown:
    """What a pass over sequences and their branches gives."""

    hidden_BTD: Tensor
    rows: Rows


class RecordingLayer(DynamicLayer):
    """Notes the keys and values that pass by, whole and without gradient; changes nothing."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        self.keys, self.values = key_states.detach(), value_states.detach()
        self.is_initialized = True
        return key_states, value_states

    def prefix(self, num_tokens: int, sequences_B: Tensor) -> PrefixLayer:
        """The first tokens of some sequences, for other tokens to continue."""
        assert self.keys is not None and self.values is not None  # noqa: PT018
        keys, values = self.keys[:, :, :num_tokens], self.values[:, :, :num_tokens]
        return PrefixLayer(keys, values, sequences_B)


class PrefixLayer(DynamicLayer):
    """Puts noted keys and values in front of new ones, and keeps nothing of these."""

    def __init__(self, keys_BHTD: Tensor, values_BHTD: Tensor, sequences_B: Tensor) -> None:
        super().__init__()
        self.keys_BHTD, self.values_BHTD, self.sequences_B = keys_BHTD, values_BHTD, sequences_B

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        keys = torch.cat([self.keys_BHTD[self.sequences_B], key_states], -2)
        values = torch.cat([self.values_BHTD[self.sequences_B], value_states], -2)
        return keys, values

    def get_seq_length(self) -> int:
        return self.keys_BHTD.shape[-2]


def resolve(model: PreTrainedModel, strategy: str, sequences: Sequences, tails: Tails) -> Strategy:
    """The strategy to use: ``auto`` picks, any other name must suit the model.

    Tree where every layer is attention, else fork where a state can be copied, else naive. Raises
    ``ValueError`` for an unknown name and for a strategy that the model cannot follow.
    """
    possible = _possible(model)
    if strategy == "auto":
        lengths = [tail.num_seen + len(tail.ids) for of_one in tails for tail in of_one]
        longest = max([*map(len, sequences), *lengths])
        return "naive" if rotates_by_length(decoder_config(model), longest) else possible[0]
    for name in possible:
        if name == strategy:
            return name
    known = ("auto", *get_args(Strategy))
    if strategy not in known:
        raise ValueError(f"unknown strategy {strategy!r}; expected one of {', '.join(known)}")
    raise ValueError(
        f"{type(model).__name__} cannot do strategy {strategy!r}: tree needs attention in every "
        f"layer with eager or sdpa kernels, fork a cache; use auto or {' or '.join(possible)}"
    )


def _possible(model: PreTrainedModel) -> list[Strategy]:
    """The strategies that the model can follow, cheapest first."""
    tree: list[Strategy] = ["tree"] if takes_any_mask(model) else []
    fork: list[Strategy] = ["fork"] if takes_a_cache(model) else []
    return [*tree, *fork, "naive"]


@torch.no_grad()
def branch_rows(model: PreTrainedModel, sequences: Sequences, tails: Tails, by: Strategy) -> Rows:
    """The rows of the branches alone; of the sequences only what the branches need is run."""
    if not any(tails):
        return [[] for _ in tails]
    if by == "naive":
        return _naive_rows(model, sequences, tails)
    needed = [max((tail.num_seen for tail in of_one), default=0) for of_one in tails]
    cut = [ids[: max(1, length)] for ids, length in zip(sequences, needed, strict=True)]
    return grow(model, cut, tails, by).rows


@torch.no_grad()
def grow(model: PreTrainedModel, sequences: Sequences, tails: Tails, by: Strategy) -> Grown:
    """Hidden states of the whole sequences and of the branches, all without gradient."""
    with cache_kept(model):
        if by == "tree":
            return grow_recorded(model, sequences, tails)
        if by == "fork":
            return _grow_forked(model, sequences, tails)
        return Grown(hidden_states(model, sequences), _naive_rows(model, sequences, tails))


def grow_recorded(model: PreTrainedModel, sequences: Sequences, tails: Tails) -> Grown:
    """Tree: note the keys and values of the sequences' forward, then run all tails on them.

    The sequences' forward is as without branches, gradient included; the tails have none.
    """
    # Not a DynamicCache with the model's config: sliding layers would forget what is behind them.
    cache = Cache(layer_class_to_replicate=RecordingLayer)
    ids_BT = padded(sequences, model.device)
    output = decode(model, ids_BT, past_key_values=cache, use_cache=True)
    return Grown(output.last_hidden_state, _tree_rows(model, cache, tails))


@torch.no_grad()
def _tree_rows(model: PreTrainedModel, cache: Cache, tails: Tails) -> Rows:
    """All tails of the batch in one forward behind the noted prefixes."""
    growing = [index for index, of_one in enumerate(tails) if of_one]
    if not growing:
        return [[] for _ in tails]
    layout = lay_out([tails[index] for index in growing], model.device)
    num_prefix = int(layout.num_seen_BM.max())
    sequences_B = torch.tensor(growing, device=model.device)
    noted = [layer for layer in cache.layers if isinstance(layer, RecordingLayer)]
    prefix = Cache(layers=[layer.prefix(num_prefix, sequences_B) for layer in noted])
    hidden_BMD = decode(
        model,
        layout.ids_BM,
        position_ids=layout.positions_BM,
        attention_mask=branch_masks(model, layout, num_prefix),
        past_key_values=prefix,
        use_cache=True,
    ).last_hidden_state
    found = dict(zip(growing, _unpacked(hidden_BMD, [tails[i] for i in growing]), strict=True))
    return [found.get(index, []) for index in range(len(tails))]


def _unpacked(hidden_BMD: Tensor, tails: Tails) -> Rows:
    """The rows that predict each span, cut out of the packed tails."""
    return [
        [hidden_MD[rows.start : rows.stop] for rows in pack(of_one).rows]
        for hidden_MD, of_one in zip(hidden_BMD, tails, strict=True)
    ]


def _grow_forked(model: PreTrainedModel, sequences: Sequences, tails: Tails) -> Grown:
    """Fork: one sequence after the other, because states of different lengths do not batch."""
    forked = [_fork(model, ids, of_one) for ids, of_one in zip(sequences, tails, strict=True)]
    hidden_BTD = pad_sequence([hidden_TD for hidden_TD, _ in forked], batch_first=True)
    return Grown(hidden_BTD, [rows for _, rows in forked])


def _fork(
    model: PreTrainedModel, ids: Sequence[int], tails: Sequence[Tail]
) -> tuple[Tensor, list[Tensor]]:
    """Run one sequence, stopping where a tail branches off to run the tail on a copy of the state.

    Returns the hidden states of the sequence, (T, D), and the rows of each tail.
    """
    run, cache, done = [], None, 0
    rows: dict[int, Tensor] = {}
    for index in sorted(range(len(tails)), key=lambda index: tails[index].num_seen):
        tail = tails[index]
        if tail.num_seen > done:
            hidden_TD, cache = _continue(model, ids[done : tail.num_seen], cache)
            run.append(hidden_TD)
            done = tail.num_seen
        hidden_MD, _ = _continue(model, tail.ids, copy.deepcopy(cache))
        rows[index] = hidden_MD[tail.rows.start : tail.rows.stop]
    if done < len(ids):
        run.append(_continue(model, ids[done:], cache)[0])
    return torch.cat(run), [rows[index] for index in range(len(tails))]


def _continue(
    model: PreTrainedModel, ids: Sequence[int], cache: Cache | None
) -> tuple[Tensor, Cache]:
    """Run more tokens of one sequence. Returns their hidden states, (T, D), and the new state."""
    ids_BT = torch.tensor([list(ids)], device=model.device)
    output = decode(model, ids_BT, past_key_values=cache, use_cache=True)
    return output.last_hidden_state[0], output.past_key_values


def _naive_rows(model: PreTrainedModel, sequences: Sequences, tails: Tails) -> Rows:
    """One forward over the whole spliced sequence for each branch: the definition."""
    return [
        [_naive_row(model, ids, tail) for tail in of_one]
        for ids, of_one in zip(sequences, tails, strict=True)
    ]


def _naive_row(model: PreTrainedModel, ids: Sequence[int], tail: Tail) -> Tensor:
    """The rows of one branch, from scratch. Returns shape (span_len, D)."""
    spliced = [*ids[: tail.num_seen], *tail.ids]
    hidden_TD = hidden_states(model, [spliced])[0]
    return hidden_TD[tail.num_seen + tail.rows.start : tail.num_seen + tail.rows.stop]
