"""Who may attend to whom when the tails of branches run beside, or behind, their sequence.

A tail sees the tokens of its own sequence before the place where it branches off, and itself.
Everything is decided on *positions*, which are those of the real insertion, so that a sliding
window covers the same tokens as in a forward over the spliced sequence.

SDPA with a 4-D mask is used on every device. A block-sparse kernel would skip the masked part: at
most the keys behind the earliest branch, for the few hundred rows of the tails.

Shape suffixes: B sequences, T tokens of the sequence, M tokens of the packed tails, Q queries,
K keys. Knows nothing of caches or gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from agentsd.branches import Tail, pack
from agentsd.causal_lm import attention_windows, decoder_config, padded

TRUNK, PADDING = -2, -1
"""Owners of the tokens that belong to no tail."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Tokens of a padded batch, and what decides their attention. Each of shape (B, Q)."""

    ids_BQ: Tensor
    positions_BQ: Tensor
    owners_BQ: Tensor
    num_seen_BQ: Tensor
    """How many tokens of the own sequence the token may attend to."""

    def joined(self, other: Layout) -> Layout:
        """Both, side by side."""
        return Layout(
            torch.cat([self.ids_BQ, other.ids_BQ], 1),
            torch.cat([self.positions_BQ, other.positions_BQ], 1),
            torch.cat([self.owners_BQ, other.owners_BQ], 1),
            torch.cat([self.num_seen_BQ, other.num_seen_BQ], 1),
        )


def lay_out_tails(tails: Sequence[Sequence[Tail]], device: torch.device) -> Layout:
    """The packed tails of each sequence. Padding sees only padding, so no row is ever empty."""
    packings = [pack(tails_of_one) for tails_of_one in tails]
    owners = [torch.tensor(packing.owners, device=device) for packing in packings]
    return Layout(
        padded([packing.ids for packing in packings], device),
        padded([packing.positions for packing in packings], device),
        pad_sequence(owners, batch_first=True, padding_value=PADDING),
        padded([packing.num_seen for packing in packings], device),
    )


def lay_out_trunk(sequences: Sequence[Sequence[int]], device: torch.device) -> Layout:
    """The sequences themselves: every token sees what is before it, and never a tail."""
    ids_BT = padded(sequences, device)
    positions_BT = torch.arange(ids_BT.shape[1], device=device).expand_as(ids_BT)
    return Layout(ids_BT, positions_BT, torch.full_like(ids_BT, TRUNK), positions_BT + 1)


def branch_masks(
    model: PreTrainedModel, queries: Layout, tails: Layout, num_trunk: int
) -> Tensor | dict[str, Tensor]:
    """What ``queries`` may see of the first ``num_trunk`` tokens and of the tails behind them.

    In the form that the model takes: one mask, or one for each of its types of layer.
    """
    masks = {
        kind: _as_taken(model, _visible(queries, tails, num_trunk, window))
        for kind, window in attention_windows(decoder_config(model)).items()
    }
    return masks if len(masks) > 1 else next(iter(masks.values()))


def _visible(queries: Layout, tails: Layout, num_trunk: int, window: int | None) -> Tensor:
    """True where a query may attend to a key. Returns shape (B, Q, T + M)."""
    trunk_T = torch.arange(num_trunk, device=queries.ids_BQ.device)
    trunk_BQT = trunk_T < queries.num_seen_BQ[..., None]
    same_tail_BQM = queries.owners_BQ[..., None] == tails.owners_BQ[:, None]
    not_ahead_BQM = queries.positions_BQ[..., None] >= tails.positions_BQ[:, None]
    visible_BQK = torch.cat([trunk_BQT, same_tail_BQM & not_ahead_BQM], -1)
    if window is None:
        return visible_BQK
    trunk_BT = trunk_T.expand(len(queries.ids_BQ), num_trunk)
    positions_BK = torch.cat([trunk_BT, tails.positions_BQ], 1)
    return visible_BQK & (queries.positions_BQ[..., None] - positions_BK[:, None] < window)


def _as_taken(model: PreTrainedModel, visible_BQK: Tensor) -> Tensor:
    """Boolean for SDPA; eager attention *adds* its mask. Returns shape (B, 1, Q, K)."""
    if decoder_config(model)._attn_implementation == "sdpa":
        return visible_BQK[:, None]
    added_BQK = torch.zeros(visible_BQK.shape, dtype=model.dtype, device=visible_BQK.device)
    return added_BQK.masked_fill(~visible_BQK, torch.finfo(model.dtype).min)[:, None]
