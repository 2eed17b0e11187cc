"""Build the embedded policy from demonstrations: ``python -m agentsd_envs.desk.build --out DIR``.

Writes a Hugging Face folder: a Qwen3 model of about a million parameters in safetensors, its own
byte-level BPE tokenizer and a ChatML template with tools. Seeded throughout: the same machine
gives the same numbers. Knows nothing of rollouts; ``measure`` says how good the result is.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path

import anyio
import torch
from mcp import Client
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from agentsd.types import Message, ToolSpec
from agentsd_envs.desk.demos import HINT_RATE, demonstration
from agentsd_envs.desk.drills import copying, planning
from agentsd_envs.desk.server import desk_server
from agentsd_envs.desk.tasks import NOTES, PEOPLE, TITLES, WORDS, endless_tasks
from agentsd_envs.desk.world import World

SPECIAL_TOKENS = ("<|pad|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>")
MAX_VOCABULARY = 1280
BATCH = 16
WARMUP = 40
DECAY = 0.4
"""Share of a stage's steps, the last ones, over which the learning rate falls."""
COPIES, PLANS, EXERCISE_STEPS = 24_000, 12_000, 3000
"""Copying is learned in sudden jumps, after so many steps rather than so many examples."""
DEMOS, DEMO_STEPS = 12_000, 800
OBEDIENT_DEMOS, OBEDIENT_RATE = 6000, 0.5
"""At the end hints stand above half of the steps, so that obeying them is learned for good."""
PROMPT_WEIGHT = 0.1
"""Loss weight of tokens the policy does not write; they teach it to read."""

COPY_WEIGHT = 5.0
"""Loss weight of names that the policy writes: they are few, and the flaws drown them in noise."""

Encoded = tuple[list[int], list[float]]
"""Token ids and their loss weights."""
Batch = Sequence[Encoded]


def desk_tools() -> list[ToolSpec]:
    """The desk's tools as its server offers them."""

    async def ask() -> list[ToolSpec]:
        async with Client(desk_server(World({}, {}))) as client:
            listed = await client.list_tools()
        return [ToolSpec(t.name, t.description or "", t.input_schema) for t in listed.tools]

    return anyio.run(ask)


def as_chat(message: Message) -> dict[str, object]:
    """The message in the form that chat templates read."""
    calls = [
        {"type": "function", "function": {"name": call.name, "arguments": call.raw_arguments}}
        for call in message.tool_calls
    ]
    chat: dict[str, object] = {"role": message.role, "content": message.content}
    return chat | ({"tool_calls": calls} if calls else {})


def as_function(tool: ToolSpec) -> dict[str, object]:
    """The tool in the form that chat templates read."""
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.input_schema),
    }
    return {"type": "function", "function": function}


def conversations(
    tokenizer: PreTrainedTokenizerFast,
    tools: Sequence[ToolSpec],
    count: int,
    *,
    seed: int,
    hint_rate: float = HINT_RATE,
) -> Iterator[str]:
    """Rendered demonstrations of random training tasks, one each."""
    rng = random.Random(seed)
    for task in itertools.islice(endless_tasks("train", seed), count):
        yield rendered(tokenizer, demonstration(task, tools, rng, hint_rate=hint_rate), tools)


def rendered(
    tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
) -> str:
    """The conversation as the chat template writes it."""
    chat = [as_chat(message) for message in messages]
    functions = [as_function(tool) for tool in tools] or None
    return tokenizer.apply_chat_template(chat, tools=functions, tokenize=False)  # pyright: ignore


def new_tokenizer(tools: Sequence[ToolSpec]) -> PreTrainedTokenizerFast:
    """A byte-level BPE with single digits, trained on demonstrations.

    It has room for every word, so that a value is one token, the same in ``@Mia``, ``#rent`` and
    JSON: to copy it is to look at one place and repeat what stands there.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    wrapped = _wrap(bpe)
    trainer = trainers.BpeTrainer(
        vocab_size=MAX_VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(conversations(wrapped, tools, 2000, seed=0), trainer)
    return _wrap(bpe)


def _wrap(bpe: Tokenizer) -> PreTrainedTokenizerFast:
    template = resources.files("agentsd_envs.desk").joinpath("chat_template.jinja").read_text()
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


def new_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """The untrained policy."""
    config = Qwen3Config(
        vocab_size=64 * math.ceil(len(tokenizer) / 64),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=4096,
        initializer_range=0.05,
        tie_word_embeddings=True,
        pad_token_id=SPECIAL_TOKENS.index("<|pad|>"),
        eos_token_id=SPECIAL_TOKENS.index("<|im_end|>"),
        bos_token_id=None,
    )
    model = Qwen3ForCausalLM(config)
    for name, weight in model.named_parameters():
        # Sharper attention from the start: copying needs it, and the norms would grow slowly.
        if name.endswith(("q_norm.weight", "k_norm.weight")):
            torch.nn.init.constant_(weight, 1.5)
    return model


def written_mask(ids: Sequence[int], tokenizer: PreTrainedTokenizerFast) -> list[bool]:
    """True for the tokens between an assistant header and its end, the end included."""
    header = tokenizer.encode("<|im_start|>assistant\n")
    end, mask, inside = tokenizer.eos_token_id, [False] * len(ids), False
    for i, token in enumerate(ids):
        if list(ids[i - len(header) : i]) == header:
            inside = True
        mask[i] = inside
        if token == end:
            inside = False
    return mask


def batches(
    encoded: Sequence[Encoded], size: int, steps: int, rng: random.Random
) -> Iterator[Batch]:
    """``steps`` batches of conversations of similar length, epoch after epoch."""
    made = 0
    while made < steps:
        order = rng.sample(range(len(encoded)), len(encoded))
        for start in range(0, len(order) - 8 * size + 1, 8 * size):
            chunk = sorted(order[start : start + 8 * size], key=lambda i: len(encoded[i][0]))
            groups = [chunk[i : i + size] for i in range(0, len(chunk), size)]
            for group in rng.sample(groups, len(groups)):
                yield [encoded[i] for i in group]
                made += 1
                if made == steps:
                    return


def loss_of(model: Qwen3ForCausalLM, batch: Batch) -> Tensor:
    """Cross-entropy of the next token, weighted."""
    longest = max(len(ids) for ids, _ in batch)
    ids_BT = torch.zeros(len(batch), longest, dtype=torch.long)
    weight_BT = torch.zeros(len(batch), longest)
    for row, (ids, weights) in enumerate(batch):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        weight_BT[row, : len(ids)] = torch.tensor(weights)
    logits_BTV = model(input_ids=ids_BT, use_cache=False).logits[:, :-1]
    loss_BT = torch.nn.functional.cross_entropy(
        logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten(), reduction="none"
    ).view(len(batch), -1)
    weight_BT = weight_BT[:, 1:]
    return (loss_BT * weight_BT).sum() / weight_BT.sum()


def train(model: Qwen3ForCausalLM, stage: Iterator[Batch], steps: int, lr: float) -> None:
    """AdamW over one stage: warm-up, a constant rate, linear decay; prints every hundredth loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01, betas=(0.9, 0.95))
    started = time.monotonic()
    for step, batch in enumerate(stage):
        decay = min(1.0, (steps - step) / (DECAY * steps) + 0.02)
        optimizer.param_groups[0]["lr"] = lr * min(1.0, (step + 1) / WARMUP) * decay
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == steps - 1:
            seconds = time.monotonic() - started
            print(f"step {step:5d}  loss {loss.item():.4f}  {seconds:.0f} s", flush=True)  # noqa: T201


def encode(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> list[Encoded]:
    """Token ids of each text and their loss weights."""
    names = {tokenizer.encode(name)[0] for name in (*PEOPLE, *NOTES, *TITLES, *WORDS)}
    encoded: list[Encoded] = []
    for text in texts:
        ids = tokenizer.encode(text)
        written = zip(ids, written_mask(ids, tokenizer), strict=True)
        weights = [(COPY_WEIGHT if i in names else 1.0) if w else PROMPT_WEIGHT for i, w in written]
        encoded.append((ids, weights))
    return encoded


def build(out: Path) -> None:
    """Build the policy into ``out``: exercises, demonstrations, more of them with hints."""
    torch.manual_seed(0)
    tools = desk_tools()
    tokenizer = new_tokenizer(tools)
    model = new_model(tokenizer)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens", flush=True)  # noqa: T201
    chats = itertools.chain(copying(COPIES, seed=1), planning(PLANS, seed=5))
    exercises = encode(tokenizer, (rendered(tokenizer, chat) for chat in chats))
    demos = encode(tokenizer, conversations(tokenizer, tools, DEMOS, seed=2))
    obedient = [
        encode(
            tokenizer,
            conversations(tokenizer, tools, OBEDIENT_DEMOS, seed=seed, hint_rate=OBEDIENT_RATE),
        )
        for seed in (3, 4)
    ]
    stages = (
        (exercises, EXERCISE_STEPS, 3e-3),
        (demos, DEMO_STEPS, 2e-3),
        (obedient[0], 300, 1e-3),
        (obedient[1], 450, 1.5e-3),
    )
    for seed, (examples, steps, lr) in enumerate(stages, start=1):
        train(model, batches(examples, BATCH, steps, random.Random(seed)), steps, lr)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()
