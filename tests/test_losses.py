"""Losses against pencil and paper. Logits are logarithms of probabilities, so p and q are exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from agentsd.losses import capped, forward_kl, jsd, mean_over_spans, reverse_kl

Divergence = Callable[[Tensor, Tensor], Tensor]
DIVERGENCES = pytest.mark.parametrize("divergence", [forward_kl, reverse_kl, jsd])


def logits(*rows: Sequence[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


# Two tokens: the student says (3/4, 1/4), the teacher (1/4, 3/4) or (1/2, 1/2).


def test_forward_kl_is_an_average_under_the_teacher() -> None:
    # 1/2 log((1/2)/(3/4)) + 1/2 log((1/2)/(1/4)) = 1/2 (log 2/3 + log 2) = 1/2 log 4/3
    found_N = forward_kl(logits([0.75, 0.25]), logits([0.5, 0.5]))
    assert found_N.tolist() == pytest.approx([0.5 * math.log(4 / 3)])


def test_reverse_kl_is_an_average_under_the_student() -> None:
    # 3/4 log((3/4)/(1/2)) + 1/4 log((1/4)/(1/2)) = 3/4 log 3 - log 2
    found_N = reverse_kl(logits([0.75, 0.25]), logits([0.5, 0.5]))
    assert found_N.tolist() == pytest.approx([0.75 * math.log(3) - math.log(2)])


def test_the_two_directions_agree_on_mirrored_distributions() -> None:
    # 3/4 log 3 + 1/4 log 1/3 = 1/2 log 3, both ways round.
    student_NV, teacher_NV = logits([0.75, 0.25]), logits([0.25, 0.75])
    assert forward_kl(student_NV, teacher_NV).item() == pytest.approx(0.5 * math.log(3))
    assert reverse_kl(student_NV, teacher_NV).item() == pytest.approx(0.5 * math.log(3))


def test_jsd_measures_against_the_middle() -> None:
    # m = (1/2, 1/2); both KL to it are 3/4 log 3/2 + 1/4 log 1/2 = 3/4 log 3 - log 2.
    found_N = jsd(logits([0.75, 0.25]), logits([0.25, 0.75]))
    assert found_N.tolist() == pytest.approx([0.75 * math.log(3) - math.log(2)])


def test_jsd_weighs_the_middle_by_beta() -> None:
    # beta = 1/4: m = 3/4 (1, 0) + 1/4 (0, 1) = (3/4, 1/4) up to the tiny mass the logits leave;
    # 3/4 log 4/3 + 1/4 log 4.
    found_N = jsd(logits([1.0, 1e-300]), logits([1e-300, 1.0]), beta=0.25)
    assert found_N.item() == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))


def test_jsd_tends_to_the_two_directions_at_its_ends() -> None:
    student_NV, teacher_NV = logits([0.7, 0.2, 0.1]), logits([0.2, 0.3, 0.5])
    near = 1e-6
    assert (jsd(student_NV, teacher_NV, near) / near).item() == pytest.approx(
        forward_kl(student_NV, teacher_NV).item(), rel=1e-4
    )
    assert (jsd(student_NV, teacher_NV, 1 - near) / near).item() == pytest.approx(
        reverse_kl(student_NV, teacher_NV).item(), rel=1e-4
    )


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5, float("nan")])
def test_jsd_refuses_a_beta_that_makes_it_zero(beta: float) -> None:
    with pytest.raises(ValueError, match="0 < beta < 1"):
        jsd(logits([0.5, 0.5]), logits([0.5, 0.5]), beta)


# A confident mistake: the teacher moves the mass from the first token to the second.


def gradient_on_a_mistake(divergence: Divergence, student: float, teacher: float) -> float:
    student_NV = logits([student, (1 - student) * 0.1, (1 - student) * 0.9]).requires_grad_()
    teacher_NV = logits([teacher, (1 - teacher) * 0.9, (1 - teacher) * 0.1])
    (gradient_NV,) = torch.autograd.grad(divergence(student_NV, teacher_NV).sum(), student_NV)
    return gradient_NV[0, 0].item()


@pytest.mark.parametrize(
    ("student", "forward", "reverse", "middle"),
    [(0.5, 0.450, 0.297, 0.046), (0.9, 0.850, 0.305, 0.047), (0.999, 0.949, 0.008, 0.003)],
)
def test_only_forward_kl_still_pulls_on_a_confident_mistake(
    student: float, forward: float, reverse: float, middle: float
) -> None:
    # For the forward KL the gradient is p - q = student - .05.
    assert gradient_on_a_mistake(forward_kl, student, 0.05) == pytest.approx(forward, abs=5e-4)
    assert gradient_on_a_mistake(reverse_kl, student, 0.05) == pytest.approx(reverse, abs=5e-4)
    assert gradient_on_a_mistake(jsd, student, 0.05) == pytest.approx(middle, abs=5e-4)


# Properties of every divergence.


@DIVERGENCES
def test_equal_logits_teach_nothing(divergence: Divergence) -> None:
    student_NV = torch.randn(3, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss_N = divergence(student_NV, student_NV.detach() + 5.0)  # logits are free up to a constant
    torch.testing.assert_close(loss_N, torch.zeros(3), atol=1e-6, rtol=0)
    (gradient_NV,) = torch.autograd.grad(loss_N.sum(), student_NV)
    torch.testing.assert_close(gradient_NV, torch.zeros(3, 7), atol=1e-6, rtol=0)


@DIVERGENCES
def test_the_gradient_is_that_of_the_formula(divergence: Divergence) -> None:
    generator = torch.Generator().manual_seed(1)
    student_NV = torch.randn(3, 5, dtype=torch.float64, generator=generator).requires_grad_()
    teacher_NV = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(lambda z_NV: divergence(z_NV, teacher_NV), student_NV)


@DIVERGENCES
def test_the_teacher_is_a_constant(divergence: Divergence) -> None:
    student_NV, teacher_NV = torch.zeros(1, 3, requires_grad=True), torch.randn(1, 3)
    divergence(student_NV, teacher_NV.requires_grad_()).sum().backward()
    assert student_NV.grad is not None
    assert teacher_NV.grad is None


@DIVERGENCES
def test_half_precision_logits_are_compared_in_single_precision(divergence: Divergence) -> None:
    loss_N = divergence(torch.zeros(2, 4).bfloat16(), torch.ones(2, 4).bfloat16())
    assert loss_N.dtype is torch.float32
    assert loss_N.shape == (2,)


@DIVERGENCES
def test_different_shapes_are_refused(divergence: Divergence) -> None:
    with pytest.raises(ValueError, match=r"\(2, 4\) and \(3, 4\)"):
        divergence(torch.zeros(2, 4), torch.zeros(3, 4))


# The cap and the mean.


def test_a_capped_loss_keeps_its_direction() -> None:
    weights_N = torch.tensor([0.5, 2.0, 8.0], requires_grad=True)
    loss_N = capped(3.0 * weights_N, 6.0)  # 1.5, 6 and 24
    assert loss_N.tolist() == pytest.approx([1.5, 6.0, 6.0])
    (gradient_N,) = torch.autograd.grad(loss_N.sum(), weights_N)
    assert gradient_N.tolist() == pytest.approx([3.0, 3.0, 0.75])  # 24 -> 6 is a quarter


def test_a_cap_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive, got 0"):
        capped(torch.ones(2), 0.0)


def test_a_long_span_weighs_as_much_as_a_short_one() -> None:
    # trajectory 1: mean of 1 and mean(3, 5) = 4 is 2.5; trajectory 2: 7; the third has no span.
    losses = [[torch.tensor([1.0]), torch.tensor([3.0, 5.0])], [torch.tensor([7.0])], []]
    assert mean_over_spans(losses).item() == pytest.approx(4.75)


def test_parts_of_a_batch_add_up_to_its_mean() -> None:
    parts = [[torch.tensor([1.0, 3.0])]], [[torch.tensor([7.0])], [torch.tensor([9.0])]]
    total = sum(mean_over_spans(part, num_trajectories=3).item() for part in parts)
    assert total == pytest.approx((2 + 7 + 9) / 3)


def test_a_batch_without_spans_is_refused() -> None:
    with pytest.raises(ValueError, match="no span"):
        mean_over_spans([[], []])
