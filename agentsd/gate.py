"""The hint gate: a hint may teach only where it makes the mistake clearly less likely.

A hint that does not lower the error's probability would train the policy towards its own mistake;
late in a run that is how self-distillation collapses. Knows nothing of models: it reads two lists
of log-probabilities of the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a branch may teach, and by how much its hint lowers the mistake."""

    is_accepted: bool
    drop: float
    """Nats by which the hint lowers the log-probability of the whole erroneous span."""
    reason: str
    """Empty when accepted."""


def judge(
    unhinted_logprobs: Sequence[float], hinted_logprobs: Sequence[float], min_drop: float
) -> Verdict:
    """Accept when the hint takes at least ``min_drop`` nats from the span's log-probability.

    Both lists hold the log-probability of each erroneous token, in nats. Raises ``ValueError`` when
    they differ in length.

    >>> judge([-0.1, -0.2], [-3.0, -0.2], min_drop=1.0).is_accepted
    True
    >>> judge([-0.1], [-0.5], min_drop=1.0).reason
    'the hint lowers the mistake by 0.40 nats, less than 1.00'
    """
    drop = sum(u - h for u, h in zip(unhinted_logprobs, hinted_logprobs, strict=True))
    if drop >= min_drop:
        return Verdict(True, drop, "")
    return Verdict(
        False, drop, f"the hint lowers the mistake by {drop:.2f} nats, less than {min_drop:.2f}"
    )
