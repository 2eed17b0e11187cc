"""Who may attend to whom when the tails of branches run behind a prefix of their sequence.

A tail sees the tokens of its own sequence before the place where it branches off, and itself.
Everything is decided on *positions*, which are those of the real insertion, so that a sliding
window covers the same tokens as in a forward over the spliced sequence.

SDPA with a 4-D mask is used on every device. A block-sparse kernel would skip the masked part: at
most the keys behind the earliest branch, for the few hundred rows of the tails.

Shape suffixes: B sequences, T tokens of the prefix, M tokens of the packed tails, K = T + M keys.
Knows nothing of caches or gradients.
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

PADDING = -1
"""Owner of the tokens that belong to no tail."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The packed tails of a padded batch, and what decides their attention; (B, M) each."""

    ids_BM: Tensor
    positions_BM: Tensor
    owners_BM: Tensor
    num_seen_BM: Tensor
    """How many tokens of the own sequence the token may attend to."""


def lay_out(tails: Sequence[Sequence[Tail]], device: torch.device) -> Layout:
    """The packed tails of each sequence. Padding sees only padding, so no row is ever empty."""
    packings = [pack(of_one) for of_one in tails]
    owners = [torch.tensor(packing.owners, device=device) for packing in packings]
    return Layout(
        padded([packing.ids for packing in packings], device),
        padded([packing.positions for packing in packings], device),
        pad_sequence(owners, batch_first=True, padding_value=PADDING),
        padded([packing.num_seen for packing in packings], device),
    )


def branch_masks(
    model: PreTrainedModel, layout: Layout, num_prefix: int
) -> Tensor | dict[str, Tensor]:
    """What tails may see of the first ``num_prefix`` tokens and, behind them, of each other.

    In the form that the model takes: one mask, or one for each of its types of layer.
    """
    masks = {
        kind: _as_taken(model, _visible(layout, num_prefix, window))
        for kind, window in attention_windows(decoder_config(model)).items()
    }
    return masks if len(masks) > 1 else next(iter(masks.values()))


def _visible(layout: Layout, num_prefix: int, window: int | None) -> Tensor:
    """True where a token may attend to a key. Returns shape (B, M, K)."""
    positions_BM, owners_BM = layout.positions_BM, layout.owners_BM
    prefix_T = torch.arange(num_prefix, device=positions_BM.device)
    prefix_BMT = prefix_T < layout.num_seen_BM[..., None]
    same_tail_BMM = owners_BM[..., None] == owners_BM[:, None]
    not_ahead_BMM = positions_BM[..., None] >= positions_BM[:, None]
    visible_BMK = torch.cat([prefix_BMT, same_tail_BMM & not_ahead_BMM], -1)
    if window is None:
        return visible_BMK
    prefix_BT = prefix_T.expand(len(positions_BM), num_prefix)
    positions_BK = torch.cat([prefix_BT, positions_BM], 1)
    return visible_BMK & (positions_BM[..., None] - positions_BK[:, None] < window)


def _as_taken(model: PreTrainedModel, visible_BMK: Tensor) -> Tensor:
    """Boolean for SDPA; eager attention *adds* its mask. Returns shape (B, 1, M, K)."""
    if decoder_config(model)._attn_implementation == "sdpa":
        return visible_BMK[:, None]
    added_BMK = torch.zeros(visible_BMK.shape, dtype=model.dtype, device=visible_BMK.device)
    return added_BMK.masked_fill(~visible_BMK, torch.finfo(model.dtype).min)[:, None]
