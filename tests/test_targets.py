"""Every way to the hinted distributions against the definition: one forward for each branch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from agentsd.errors import ConfigError
from agentsd.losses import forward_kl
from agentsd.strategies import resolve
from agentsd.targets import check_empty_hint, hinted_logits, one_pass, project, rows_predicting
from agentsd.types import Branch, Span

NUM_WORDS = 61
WINDOW = 6
"""Shorter than every sequence here."""

Build = Callable[..., PreTrainedModel]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# Tiny random models, loud enough that a hint moves logits by about 1. Louder ones amplify rounding:
# their independent forwards differ from themselves with other tokens behind them.


def tiny(config_class: type[PreTrainedConfig], seed: int = 0, **options: Any) -> PreTrainedModel:
    sizes: dict[str, Any] = {
        "vocab_size": NUM_WORDS,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 128,
        "initializer_range": 0.05,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    torch.manual_seed(seed)
    config = config_class(**{**sizes, **options})
    return transformers.AutoModelForCausalLM.from_config(config).float().eval()


def llama(**options: Any) -> PreTrainedModel:
    return tiny(transformers.LlamaConfig, **options)


def qwen3(**options: Any) -> PreTrainedModel:
    return tiny(transformers.Qwen3Config, **options)


def mistral(**options: Any) -> PreTrainedModel:
    return tiny(transformers.MistralConfig, sliding_window=WINDOW, **options)


def gemma3(**options: Any) -> PreTrainedModel:
    layer_types = ["sliding_attention", "full_attention"] * 2
    return tiny(
        transformers.Gemma3TextConfig,
        sliding_window=WINDOW,
        layer_types=layer_types,
        final_logit_softcapping=5.0,
        **options,
    )


def gpt_oss(**options: Any) -> PreTrainedModel:
    return tiny(
        transformers.GptOssConfig,
        sliding_window=WINDOW,
        num_local_experts=4,
        num_experts_per_tok=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        **options,
    )


def qwen3_moe(**options: Any) -> PreTrainedModel:
    return tiny(
        transformers.Qwen3MoeConfig,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        **options,
    )


def deepseek_v3(**options: Any) -> PreTrainedModel:
    ranks = {"q_lora_rank": 16, "kv_lora_rank": 16, "num_key_value_heads": 4, "head_dim": 8}
    heads = {"qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 12}
    experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
    return tiny(transformers.DeepseekV3Config, **ranks, **heads, **experts, **options)


LINEAR_HEADS = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}


def qwen3_next(**options: Any) -> PreTrainedModel:
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    return tiny(
        transformers.Qwen3NextConfig,
        shared_expert_intermediate_size=16,
        **LINEAR_HEADS,
        **experts,
        **options,
    )


def qwen3_5(**options: Any) -> PreTrainedModel:
    return tiny(transformers.Qwen3_5TextConfig, **LINEAR_HEADS, **options)


def granite(**options: Any) -> PreTrainedModel:
    return tiny(transformers.GraniteConfig, logits_scaling=3.0, **options)


def cohere(**options: Any) -> PreTrainedModel:
    return tiny(transformers.CohereConfig, logit_scale=2.0, **options)


ATTENTION: list[Build] = [llama, qwen3, mistral, gemma3, gpt_oss, qwen3_moe, deepseek_v3]
LINEAR: list[Build] = [qwen3_next, qwen3_5]
WAYS: list[tuple[Build, str]] = [
    *((build, strategy) for build in ATTENTION for strategy in ("tree", "fork")),
    *((build, "fork") for build in LINEAR),
    *((build, "naive") for build in (llama, gemma3)),
]
EVERY_WAY = pytest.mark.parametrize(
    ("build", "strategy"), WAYS, ids=[f"{build.__name__}-{by}" for build, by in WAYS]
)


# Sequences, branches and the definition.


def some_ids(size: int, seed: int = 0) -> list[int]:
    return random.Random(seed).choices(range(3, NUM_WORDS), k=size)


def some_branches(size: int, count: int, seed: int = 0) -> list[Branch]:
    """Branches that overlap, share ``at``, start behind it, or insert nothing."""
    draw = random.Random(seed)
    branches = []
    for _ in range(count):
        at = draw.choice([*range(1, size), size // 2, size // 2])
        start = draw.randrange(at, min(at + 4, size))
        hint_ids = some_ids(draw.choice([0, 1, 5, 9]), draw.randrange(1000))
        branches.append(
            Branch(at, tuple(hint_ids), Span(start, draw.randrange(start + 1, size + 1)))
        )
    return branches


def alone(model: PreTrainedModel, ids: Sequence[int], branch: Branch) -> Tensor:
    """The definition of a target, spelled out."""
    spliced = [*ids[: branch.at], *branch.hint_ids, *ids[branch.at : branch.span.stop]]
    with torch.no_grad():
        logits_TV = model(input_ids=torch.tensor([spliced]), use_cache=False).logits[0]
    return logits_TV[-len(branch.span) - 1 : -1]


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def assert_targets(
    model: PreTrainedModel,
    targets: Sequence[Sequence[Tensor]],
    batch: Sequence[Sequence[int]],
    branches: Sequence[Sequence[Branch]],
) -> None:
    for of_one, ids, asked in zip(targets, batch, branches, strict=True):
        for target_NV, branch in zip(of_one, asked, strict=True):
            assert_same(target_NV, alone(model, ids, branch))


BATCH = [some_ids(26, 1), some_ids(40, 2), some_ids(9, 3), some_ids(33, 4)]
BRANCHES = [some_branches(26, 3, 1), some_branches(40, 8, 2), [], some_branches(33, 1, 4)]


def spans_loss(model: PreTrainedModel, hidden_BTD: Tensor) -> Tensor:
    """Some loss on the rows that predict the spans of BATCH."""
    rows = [
        hidden_TD[rows_predicting(branch.span)]
        for hidden_TD, asked in zip(hidden_BTD, BRANCHES, strict=True)
        for branch in asked
    ]
    return project(model, torch.cat(rows)).logsumexp(-1).pow(2).mean()


def gradients(model: PreTrainedModel, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


# Equal to the definition.


@EVERY_WAY
@pytest.mark.parametrize("count", [1, 3, 8])
def test_hinted_logits_are_those_of_independent_forwards(
    build: Build, strategy: str, count: int
) -> None:
    model, ids, branches = build(), some_ids(40, count), some_branches(40, count, count)
    assert_targets(model, [hinted_logits(model, ids, branches, strategy)], [ids], [branches])


@EVERY_WAY
def test_a_batch_gives_what_each_sequence_gives(build: Build, strategy: str) -> None:
    model = build()
    passed = one_pass(model, BATCH, BRANCHES, strategy)
    assert passed.teacher_hidden_BTD is None
    assert_targets(model, passed.targets, BATCH, BRANCHES)


@EVERY_WAY
def test_a_frozen_teacher_with_other_weights_answers_for_itself(
    build: Build, strategy: str
) -> None:
    model, teacher = build(), build(seed=1)
    passed = one_pass(model, BATCH, BRANCHES, strategy, teacher=teacher)
    assert_targets(teacher, passed.targets, BATCH, BRANCHES)
    assert passed.teacher_hidden_BTD is not None
    assert not passed.teacher_hidden_BTD.requires_grad
    for index, ids in enumerate(BATCH):
        end = Branch(1, (), Span(1, len(ids)))
        for answering, hidden_BTD in (
            (model, passed.hidden_BTD),
            (teacher, passed.teacher_hidden_BTD),
        ):
            own_NV = project(answering, hidden_BTD[index, : len(ids) - 1])
            assert_same(own_NV.detach(), alone(answering, ids, end))


@pytest.mark.parametrize("build", [*ATTENTION, *LINEAR])
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_no_target(build: Build, reentrant: bool) -> None:
    model = build().train()
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    passed = one_pass(model, BATCH, BRANCHES)
    assert passed.hidden_BTD.requires_grad
    assert model.is_activation_checkpointing
    model.activation_checkpointing_disable()
    assert_targets(model, passed.targets, BATCH, BRANCHES)


def test_spans_behind_a_window_do_not_see_a_hint_that_slid_out_of_it() -> None:
    # One layer, window 6: the row at distance 6 from the last hint token no longer sees the hint.
    model, ids = (
        tiny(transformers.MistralConfig, sliding_window=6, num_hidden_layers=1),
        some_ids(30),
    )
    hinted_NV = hinted_logits(model, ids, [Branch(10, (5,), Span(10, 30))], "tree")[0]
    other_NV = hinted_logits(model, ids, [Branch(10, (7,), Span(10, 30))], "tree")[0]
    differs = (hinted_NV - other_NV).abs().amax(-1) > 1e-4
    assert differs.tolist() == [True] * 6 + [False] * 14


def test_a_hint_matters_and_an_empty_one_does_not() -> None:
    model, ids = qwen3(), some_ids(30)
    span = Span(12, 18)
    plain_NV = alone(model, ids, Branch(12, (), span))
    empty_NV, hinted_NV = hinted_logits(
        model, ids, [Branch(12, (), span), Branch(12, (5, 6, 7), span)]
    )
    torch.testing.assert_close(forward_kl(plain_NV, empty_NV), torch.zeros(6), atol=1e-6, rtol=0)
    assert forward_kl(plain_NV, hinted_NV).min() > 1e-3


def test_length_dependent_rotary_embeddings_fall_back_to_independent_forwards() -> None:
    factors = {"short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 3.0, 4.0]}
    rope = {"rope_type": "longrope", "rope_theta": 10_000.0, **factors}
    model = tiny(
        transformers.Phi3Config,
        rope_parameters={**rope, "original_max_position_embeddings": 16},
        original_max_position_embeddings=16,
    )
    ids, branches = some_ids(30), [Branch(8, (5, 6), Span(8, 11)), Branch(20, (7,), Span(22, 30))]
    assert_targets(model, [hinted_logits(model, ids, branches)], [ids], [branches])


# What it costs, and what it leaves alone.


@pytest.mark.parametrize("strategy", ["tree", "fork", "naive", "checkpointing"])
def test_the_students_gradient_is_that_of_a_plain_forward(strategy: str) -> None:
    model = gemma3().train()
    if strategy == "checkpointing":
        model.activation_checkpointing_enable({"use_reentrant": False})
    by = "tree" if strategy == "checkpointing" else strategy
    found = gradients(model, spans_loss(model, one_pass(model, BATCH, BRANCHES, by).hidden_BTD))
    plain_BTD = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in BATCH], True)
    expected = gradients(model, spans_loss(model, model.get_decoder()(plain_BTD).last_hidden_state))
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("strategy", ["tree", "fork"])
def test_the_student_keeps_its_gradient_under_autocast(strategy: str) -> None:
    # The pass without gradient must not leave casts of the weights behind that have none.
    model = qwen3()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        passed = one_pass(model, BATCH, BRANCHES, strategy)
        loss = spans_loss(model, passed.hidden_BTD)
    assert gradients(model, loss).keys() == dict(model.named_parameters()).keys()


def counted(module: torch.nn.Module | None, run: Callable[[], object], num_dims: int) -> list[int]:
    """How many tokens each call of ``module`` got: the product of the first dimensions."""
    assert module is not None
    counts: list[int] = []
    handle = module.register_forward_pre_hook(
        lambda _, inputs: counts.append(inputs[0].shape[:num_dims].numel())
    )
    run()
    handle.remove()
    return counts


@pytest.mark.parametrize("strategy", ["tree", "fork", "naive"])
def test_only_target_rows_meet_the_vocabulary(strategy: str) -> None:
    model = qwen3()
    counts = counted(
        model.get_output_embeddings(), lambda: one_pass(model, BATCH, BRANCHES, strategy), -1
    )
    assert counts == [sum(len(branch.span) for asked in BRANCHES for branch in asked)]


def test_a_tree_runs_nothing_twice_but_the_spans() -> None:
    model, ids = qwen3(), some_ids(40)
    branches = [Branch(10, (5,) * 7, Span(10, 14)), Branch(20, (6,) * 3, Span(20, 25))]
    counts = counted(
        model.get_input_embeddings(), lambda: one_pass(model, [ids], [branches], "tree"), 2
    )
    # The last token of a span predicts nothing that is asked for: hint + span - 1.
    assert counts == [40, (7 + 4 - 1) + (3 + 5 - 1)]


def test_a_fork_runs_each_prefix_once() -> None:
    model, ids = qwen3_5(), some_ids(40)
    branches = [Branch(20, (6,) * 3, Span(20, 25)), Branch(10, (5,) * 7, Span(10, 14))]
    counts = counted(
        model.get_input_embeddings(), lambda: hinted_logits(model, ids, branches, "fork"), 2
    )
    assert counts == [10, 7 + 4 - 1, 10, 3 + 5 - 1]


def test_targets_have_no_gradient_and_a_batch_without_branches_has_none() -> None:
    model = llama()
    hinted = hinted_logits(model, torch.tensor(some_ids(20)), some_branches(20, 2))
    assert not any(target_NV.requires_grad for target_NV in hinted)
    passed = one_pass(model, BATCH, [[] for _ in BATCH])
    assert passed.targets == [[], [], [], []]
    assert passed.hidden_BTD.requires_grad


# Which strategy.


def picked(model: PreTrainedModel) -> str:
    return resolve(model, "auto", [some_ids(20)], [[]])


def test_auto_knows_what_a_model_can_do() -> None:
    assert [picked(build()) for build in ATTENTION] == ["tree"] * len(ATTENTION)
    assert [picked(build()) for build in LINEAR] == ["fork"] * len(LINEAR)
    assert picked(tiny(transformers.MambaConfig, state_size=8)) == "naive"


def test_auto_forks_where_kernels_take_no_mask() -> None:
    model = qwen3()
    model.get_decoder().config._attn_implementation = "flash_attention_2"
    assert picked(model) == "fork"


def test_auto_is_naive_only_beyond_the_length_at_which_rotation_changes() -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}
    assert picked(llama(rope_parameters=rope, max_position_embeddings=20)) == "tree"
    assert picked(llama(rope_parameters=rope, max_position_embeddings=19)) == "naive"


# Bad input.


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown strategy 'bush'; expected one of auto, tree"):
        hinted_logits(llama(), some_ids(9), some_branches(9, 1), "bush")


def test_a_strategy_that_the_model_cannot_follow_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Qwen3_5ForCausalLM cannot do strategy 'tree'.*auto"):
        hinted_logits(qwen3_5(), some_ids(9), some_branches(9, 1), "tree")


def test_ids_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3\.\.61 leave the model's vocabulary of 61"):
        hinted_logits(llama(), [3, 61, 5], [Branch(1, (), Span(1, 2))])
    with pytest.raises(ValueError, match="vocabulary of 61"):
        hinted_logits(llama(), [3, 4, 5], [Branch(1, (99,), Span(1, 2))])


@pytest.mark.parametrize("ids", [torch.zeros(2, 3, dtype=torch.long), torch.zeros(3)])
def test_ids_of_a_wrong_kind_are_refused(ids: Tensor) -> None:
    with pytest.raises(ValueError, match="1-D integer tensor"):
        hinted_logits(llama(), ids, [])


def test_a_branch_beyond_its_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="must point into its own sequence"):
        hinted_logits(llama(), some_ids(9), [Branch(2, (5,), Span(3, 10))])


def test_a_batch_needs_branches_for_each_sequence() -> None:
    with pytest.raises(ValueError, match="got 4 sequences and 1 lists of branches"):
        one_pass(llama(), BATCH, [[]])


# The check before a run.


@pytest.mark.parametrize("build", [*ATTENTION, *LINEAR, granite, cohere])
def test_the_check_passes_models_that_the_pass_is_exact_for(build: Build) -> None:
    assert check_empty_hint(build(), some_ids(40)) < 1e-9


def test_the_check_allows_for_the_rounding_of_half_precision() -> None:
    assert check_empty_hint(llama().bfloat16(), some_ids(40)) < 2e-2


def test_the_check_refuses_dropout() -> None:
    with pytest.raises(ConfigError, match="turn dropout off"):
        check_empty_hint(llama(attention_dropout=0.3).train(), some_ids(40))


def test_the_check_refuses_logits_that_project_does_not_know() -> None:
    model = tiny(transformers.HyperCLOVAXConfig, logits_scaling=2.0)  # multiplies, Granite divides
    with pytest.raises(ConfigError, match="not its head applied to its hidden states"):
        check_empty_hint(model, some_ids(40))


@pytest.mark.parametrize("broken", ["position_ids", "attention_mask"])
def test_the_check_refuses_a_model_that_ignores_where_branches_stand(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = llama()
    decoder = model.get_decoder()
    forward = decoder.forward
    monkeypatch.setattr(decoder, "forward", lambda **options: forward(**{**options, broken: None}))
    with pytest.raises(ConfigError, match="change when nothing is inserted"):
        check_empty_hint(model, some_ids(40))


def test_the_check_refuses_weights_that_are_not_numbers() -> None:
    model = llama()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(ConfigError, match="KL nan"):
        check_empty_hint(model, some_ids(40))


def test_the_check_needs_a_probe_of_some_length() -> None:
    with pytest.raises(ValueError, match="probe of 3 tokens"):
        check_empty_hint(llama(), [3, 4, 5])
