"""The gate: only hints that clearly lower the mistake may teach."""

from __future__ import annotations

import pytest

from agentsd.gate import judge


def test_the_drop_is_summed_over_the_span() -> None:
    # (-0.1 + 1.1) + (-0.2 + 0.5) = 1.3 nats.
    verdict = judge([-0.1, -0.2], [-1.1, -0.5], min_drop=1.0)
    assert verdict.is_accepted
    assert verdict.drop == pytest.approx(1.3)


def test_a_hint_that_makes_the_mistake_likelier_is_rejected_with_the_reason() -> None:
    verdict = judge([-2.0], [-0.5], min_drop=1.0)
    assert not verdict.is_accepted
    assert verdict.reason == "the hint lowers the mistake by -1.50 nats, less than 1.00"


def test_a_hint_that_changes_nothing_is_rejected_by_any_positive_threshold() -> None:
    assert not judge([-0.7, -0.7], [-0.7, -0.7], min_drop=1e-6).is_accepted


def test_views_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        judge([-1.0, -1.0], [-1.0], min_drop=1.0)
