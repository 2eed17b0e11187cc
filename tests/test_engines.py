"""Engines: what was sampled is what a forward pass says, alone or in a batch, turn after turn."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
)

from agentsd.engines.decoding import draw, keeps_full_prefix
from agentsd.engines.hf import HfEngine
from agentsd.engines.scripted import ScriptedEngine
from agentsd.sampling import Completion, SamplingParams

VOCABULARY = 64
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}


def qwen3() -> PreTrainedModel:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**SIZES)).eval()


def gemma3() -> PreTrainedModel:
    torch.manual_seed(0)
    layers = ["sliding_attention", "full_attention"]
    config = Gemma3TextConfig(**SIZES, sliding_window=8, layer_types=layers)
    return Gemma3ForCausalLM(config).eval()


def qwen3_next() -> PreTrainedModel:
    torch.manual_seed(0)
    four: dict[str, Any] = {"num_hidden_layers": 4}
    config = Qwen3NextConfig(
        **(SIZES | four),
        linear_num_value_heads=2,
        linear_num_key_heads=1,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        num_experts=2,
        num_experts_per_tok=1,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
    )
    return Qwen3NextForCausalLM(config).eval()


async def sample_all(
    engine: HfEngine, prompts: list[list[int]], params: SamplingParams
) -> list[Completion]:
    async def one(index: int, prompt: list[int]) -> Completion:
        async with engine.episode(f"e{index}") as sampler:
            return await sampler.sample(prompt, params)

    return await asyncio.gather(*(one(i, prompt) for i, prompt in enumerate(prompts)))


def forward_logprobs(
    model: PreTrainedModel, prompt: list[int], ids: tuple[int, ...]
) -> list[float]:
    with torch.no_grad():
        logits_TV = model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0]
    logprobs_TV = logits_TV.log_softmax(-1)
    return [logprobs_TV[len(prompt) - 1 + i, token].item() for i, token in enumerate(ids)]


def random_prompts(lengths: list[int]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(1, VOCABULARY, (n,), generator=generator).tolist() for n in lengths]


@pytest.mark.anyio
@pytest.mark.parametrize("build", [qwen3, gemma3, qwen3_next])
async def test_logprobs_of_a_batch_agree_with_a_forward_pass_of_each_row(build) -> None:
    model, prompts = build(), random_prompts([3, 17, 9])
    completions = await sample_all(HfEngine(model), prompts, SamplingParams(12, seed=5))
    for prompt, completion in zip(prompts, completions, strict=True):
        assert len(completion.ids) == 12
        expected = forward_logprobs(model, prompt, completion.ids)
        assert completion.logprobs == pytest.approx(expected, abs=1e-4)


@pytest.mark.anyio
async def test_a_second_turn_reuses_the_prefix_and_still_agrees_with_a_forward_pass() -> None:
    model = qwen3()
    engine, fed = HfEngine(model), []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: fed.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )

    async def two_turns(name: str, prompt: list[int], suffix: list[int]) -> None:
        async with engine.episode(name) as sampler:
            first = await sampler.sample(prompt, SamplingParams(4, seed=1))
            second_prompt = [*prompt, *first.ids, *suffix]
            turns.append((second_prompt, await sampler.sample(second_prompt, SamplingParams(4))))

    turns: list[tuple[list[int], Completion]] = []
    a, b = random_prompts([20, 11])
    await asyncio.gather(two_turns("a", a, [7, 8, 9]), two_turns("b", b, [5]))
    # Prefill of 20, three single tokens, then only the last sampled token and the suffix: 1 + 3.
    assert fed[:5] == [20, 1, 1, 1, 4]
    for prompt, completion in turns:
        expected = forward_logprobs(model, prompt, completion.ids)
        assert completion.logprobs == pytest.approx(expected, abs=1e-4)


@pytest.mark.anyio
async def test_a_seed_gives_the_same_tokens_alone_and_in_a_batch() -> None:
    model, prompts = qwen3(), random_prompts([5, 12, 8])
    together = await sample_all(HfEngine(model), prompts, SamplingParams(8, seed=3))
    alone = [
        (await sample_all(HfEngine(model), [prompt], SamplingParams(8, seed=3)))[0]
        for prompt in prompts
    ]
    assert [c.ids for c in together] == [c.ids for c in alone]


@pytest.mark.anyio
async def test_all_open_episodes_share_one_batch() -> None:
    model, batches = qwen3(), []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: batches.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    await sample_all(HfEngine(model, batch_wait_s=30), random_prompts([4] * 6), SamplingParams(1))
    assert batches == [6]


@pytest.mark.anyio
async def test_a_stop_token_ends_the_turn_and_is_part_of_it() -> None:
    model, prompt = qwen3(), random_prompts([6])[0]
    (free,) = await sample_all(HfEngine(model), [prompt], SamplingParams(6, temperature=0.0))
    params = SamplingParams(6, temperature=0.0, stop_ids=(free.ids[2],))
    (stopped,) = await sample_all(HfEngine(model), [prompt], params)
    cut = free.ids.index(free.ids[2]) + 1
    assert stopped.ids == free.ids[:cut]
    assert stopped.finish_reason == "stop"
    assert free.finish_reason == "length"


@pytest.mark.anyio
async def test_new_weights_change_the_version_and_forget_old_prefixes() -> None:
    model = qwen3()
    engine = HfEngine(model)
    prompt = random_prompts([9])[0]
    async with engine.episode("e") as sampler:
        first = await sampler.sample(prompt, SamplingParams(3))
        doubled = {name: value * 2 for name, value in model.state_dict().items()}
        await engine.load(doubled, "1")
        longer = [*prompt, *first.ids, 4]
        second = await sampler.sample(longer, SamplingParams(3))
    assert (first.version, second.version) == ("0", "1")
    expected = forward_logprobs(model, longer, second.ids)
    assert second.logprobs == pytest.approx(expected, abs=1e-4)


def test_top_p_keeps_the_smallest_set_that_reaches_the_mass() -> None:
    # Masses .5, .3, .15, .05: a nucleus of .75 needs the first two tokens.
    logprobs_V = torch.tensor([0.3, 0.5, 0.05, 0.15]).log()
    generator = torch.Generator().manual_seed(0)
    params = SamplingParams(1, top_p=0.75)
    drawn = [draw(logprobs_V, params, generator) for _ in range(400)]
    assert set(drawn) == {0, 1}
    # Renormalised: .5 / .8 = .625, with a standard error of .024.
    assert drawn.count(1) / 400 == pytest.approx(0.625, abs=0.1)


def test_temperature_zero_is_greedy_and_high_temperature_is_nearly_uniform() -> None:
    logprobs_V = torch.tensor([0.7, 0.1, 0.1, 0.1]).log()
    generator = torch.Generator().manual_seed(0)
    assert draw(logprobs_V, SamplingParams(1, temperature=0.0), generator) == 0
    hot = [draw(logprobs_V, SamplingParams(1, temperature=50.0), generator) for _ in range(800)]
    # exp(log .7 / 50) is 1.04 times exp(log .1 / 50): about a quarter each.
    assert hot.count(0) / 800 == pytest.approx(0.257, abs=0.06)


def test_only_full_attention_keeps_prefixes() -> None:
    assert keeps_full_prefix(qwen3())
    assert not keeps_full_prefix(gemma3())
    assert not keeps_full_prefix(qwen3_next())


@pytest.mark.anyio
async def test_the_scripted_engine_says_its_script_and_respects_the_limit() -> None:
    engine = ScriptedEngine(lambda episode, turn, prompt: (10 + turn, 11, 2))
    async with engine.episode("e") as sampler:
        first = await sampler.sample([1], SamplingParams(9, stop_ids=(2,)))
        second = await sampler.sample([1], SamplingParams(2, stop_ids=(2,)))
    assert (first.ids, first.finish_reason) == ((10, 11, 2), "stop")
    assert (second.ids, second.finish_reason) == ((11, 11), "length")
    assert math.fsum(first.logprobs) == 0.0
