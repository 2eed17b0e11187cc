"""The one pass: every hinted distribution of a batch for little more than the student's forward.

For each branch of a sequence these are the logits that
``model(ids[:at] + hint_ids + ids[at:span.stop])`` gives at the rows that predict ``span``, exact up
to rounding. Nothing is decoded, and only target rows meet the vocabulary.

Strategies:

- ``tree``: the forward over the sequences keeps its keys and values; all tails (hint and span)
  then run together behind them. Gradient checkpointing keeps nothing, so there the keys and values
  come from one more forward without gradient, as far as the last branch.
- ``fork``: run each sequence once more without gradient and, at each branch, continue on a copy
  of the state. For recurrent and linear-attention layers, and for flash kernels.
- ``naive``: one forward for each branch.
- ``auto``: tree where every layer is attention, else fork, else naive. Also naive where rotary
  embeddings depend on the length of the sequence, beyond the length at which they start to.

Routers of mixture-of-experts layers decide token by token, so they change nothing.

Shape suffixes: B sequences, T tokens, D hidden, N selected rows, V vocabulary.
Knows nothing of losses, of what makes a hint good, or of trajectories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentsd.branches import Tail, check_branches, rows_predicting, tail_of
from agentsd.causal_lm import decoder_config, hidden_states, is_checkpointing, project
from agentsd.errors import ConfigError
from agentsd.losses import forward_kl
from agentsd.strategies import (
    Grown,
    Rows,
    Sequences,
    Tails,
    branch_rows,
    grow,
    grow_recorded,
    resolve,
)
from agentsd.types import Branch, Span

__all__ = ["OnePass", "check_empty_hint", "hinted_logits", "one_pass", "project", "rows_predicting"]


@dataclass(frozen=True, slots=True)
class OnePass:
    """A student's forward over a batch, and what the hinted teacher says about its branches."""

    hidden_BTD: Tensor
    """The student's, with gradient, right-padded. Rows behind a sequence's end mean nothing."""
    targets: list[list[Tensor]]
    """Teacher logits without gradient, (span_len, V), for each branch of each sequence."""
    teacher_hidden_BTD: Tensor | None = None
    """A separate teacher's hidden states of the same sequences; None where the student teaches."""


def hinted_logits(
    model: PreTrainedModel,
    ids: Sequence[int] | Tensor,
    branches: Sequence[Branch],
    strategy: str = "auto",
) -> list[Tensor]:
    """The logits that predict each branch's span with its hint in front; (span_len, V) each.

    No gradient. Rows belong to the tokens of ``span`` in order. Raises ``ValueError`` where the
    branches do not fit ``ids`` or the strategy is unknown.
    """
    sequence = _as_list(ids)
    tails = [_tails(model, sequence, branches)]
    by = resolve(model, strategy, [sequence], tails)
    return _project_rows(model, branch_rows(model, [sequence], tails, by))[0]


def one_pass(
    model: PreTrainedModel,
    sequences: Sequence[Sequence[int] | Tensor],
    branches: Sequence[Sequence[Branch]],
    strategy: str = "auto",
    *,
    teacher: PreTrainedModel | None = None,
) -> OnePass:
    """Run the student over the sequences and the teacher over their branches.

    ``branches[i]`` belong to ``sequences[i]`` and may be empty. Without ``teacher`` the student
    itself, as it is now, is the teacher. A ``teacher`` with other weights runs over the batch
    first; its hidden states come back too. Every row of every sequence is run, so the caller cuts
    each sequence behind the last token it needs. Of the result, project (``project``) only the rows
    that ``rows_predicting`` names.

    Raises ``ValueError`` where branches do not fit their sequences or the strategy is unknown.
    """
    if len(sequences) != len(branches) or not sequences:
        raise ValueError(
            f"got {len(sequences)} sequences and {len(branches)} lists of branches; "
            "expected at least one sequence and a list, empty or not, for each"
        )
    batch = [_as_list(ids) for ids in sequences]
    tails = [_tails(model, ids, asked) for ids, asked in zip(batch, branches, strict=True)]
    if teacher is None:
        grown = _taught_by_itself(model, batch, tails, strategy)
        return OnePass(grown.hidden_BTD, _project_rows(model, grown.rows))
    taught = grow(teacher, batch, tails, resolve(teacher, strategy, batch, tails))
    targets = _project_rows(teacher, taught.rows)
    return OnePass(hidden_states(model, batch), targets, taught.hidden_BTD)


@torch.no_grad()
def _project_rows(model: PreTrainedModel, rows: Rows) -> list[list[Tensor]]:
    """Logits of all rows in one product, handed back in the rows' own nesting."""
    flat = [rows_ND for of_one in rows for rows_ND in of_one]
    if not flat:
        return [[] for _ in rows]
    logits_NV = project(model, torch.cat(flat))
    pieces = iter(logits_NV.split([len(rows_ND) for rows_ND in flat]))
    return [[next(pieces) for _ in of_one] for of_one in rows]


def _taught_by_itself(
    model: PreTrainedModel, sequences: Sequences, tails: Tails, strategy: str
) -> Grown:
    """The student's forward with gradient, and its branches without."""
    by = resolve(model, strategy, sequences, tails)
    if by == "tree" and not is_checkpointing(model):
        return grow_recorded(model, sequences, tails)
    # The branches first, while no activations are held for the student's backward.
    rows = branch_rows(model, sequences, tails, by)
    return Grown(hidden_states(model, sequences), rows)


def _as_list(ids: Sequence[int] | Tensor) -> list[int]:
    """Token ids as plain integers."""
    if not isinstance(ids, Tensor):
        return list(ids)
    if ids.dim() != 1 or ids.is_floating_point():
        raise ValueError(
            f"token ids must be a sequence of ints or a 1-D integer tensor, "
            f"got a {ids.dtype} tensor of shape {tuple(ids.shape)}"
        )
    return ids.tolist()


def _tails(model: PreTrainedModel, ids: Sequence[int], branches: Sequence[Branch]) -> list[Tail]:
    """The tails of a sequence's branches, once both are known to fit the model."""
    check_branches(ids, branches)
    every_id = [*ids, *(token for branch in branches for token in branch.hint_ids)]
    num_words = decoder_config(model).vocab_size
    if not 0 <= min(every_id) <= max(every_id) < num_words:
        raise ValueError(
            f"token ids {min(every_id)}..{max(every_id)} leave the model's vocabulary of "
            f"{num_words}; sequences and hints must come from the model's own tokenizer"
        )
    return [tail_of(ids, branch) for branch in branches]


def check_empty_hint(
    model: PreTrainedModel,
    ids: Sequence[int] | Tensor,
    strategy: str = "auto",
    tolerance: float | None = None,
) -> float:
    """Refuse a model for which the pass is not exact; run once, before training.

    On a probe ``ids``, ``project`` must agree with the model's own logits, and branches that insert
    nothing must teach nothing. A probe longer than a sliding window tests the window too. Returns
    the largest KL found, in nats per token. ``tolerance`` defaults to 1e-5 for logits in single
    precision; in lower precision two orders of summation differ visibly, and 2e-2 is allowed.

    Raises ``ConfigError`` where a KL is above ``tolerance``.
    """
    sequence = _as_list(ids)
    size = len(sequence)
    if size < 4:
        raise ValueError(f"got a probe of {size} tokens, expected at least 4")
    branches = [Branch(at, (), Span(at, size)) for at in (size // 4, size // 2, 3 * size // 4)]
    passed = one_pass(model, [sequence], [branches], strategy)
    with torch.no_grad():
        own_TV = model(
            input_ids=torch.tensor([sequence], device=model.device), use_cache=False
        ).logits[0]
        student_TV = project(model, passed.hidden_BTD[0])
    if tolerance is None:
        tolerance = 1e-5 if own_TV.dtype in (torch.float32, torch.float64) else 2e-2
    head = _largest_kl(student_TV, own_TV)
    student_NV = torch.cat([student_TV[branch.span.start - 1 : -1] for branch in branches])
    hinted = _largest_kl(student_NV, torch.cat(passed.targets[0]))
    _refuse(model, head, tolerance, "logits are not its head applied to its hidden states")
    _refuse(model, hinted, tolerance, "next-token distributions change when nothing is inserted")
    return max(head, hinted)


def _largest_kl(student_NV: Tensor, teacher_NV: Tensor) -> float:
    """The KL of the token where two distributions differ most, in nats; NaN if any is."""
    return float(forward_kl(student_NV.double(), teacher_NV.double()).max())


def _refuse(model: PreTrainedModel, kl: float, tolerance: float, what: str) -> None:
    """Raise ``ConfigError`` unless ``kl`` is within ``tolerance``; NaN is not."""
    if not kl <= tolerance:
        raise ConfigError(
            f"{type(model).__name__} cannot be trained as it is: its {what} "
            f"(KL {kl:.3g} nats, expected at most {tolerance:.3g}); turn dropout off, "
            "try strategy 'fork' or 'naive', or choose another model"
        )
