"""What the targets of a training step cost: time and memory beside the student's step alone.

    python benchmarks/one_pass.py            4,096 tokens, 5 branches with 60-token hints
    python benchmarks/one_pass.py --long     16,384 tokens

Every repeat runs all variants one after the other, and a ratio is taken within its repeat. Times
are CPU seconds of one thread, so that a busy machine hardly counts. Memory is the growth of a fresh
process over one step. ``dense`` is ``tree`` with every row of the student sent through the head, as
``model(ids).logits`` does: the difference is tokens x vocabulary.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from agentsd.causal_lm import hidden_states
from agentsd.losses import forward_kl, mean_over_spans
from agentsd.targets import one_pass, project, rows_predicting
from agentsd.types import Branch, Span

VARIANTS = ("student", "tree", "fork", "naive", "dense")
NUM_WORDS = 8192


def tiny_qwen3(num_positions: int) -> PreTrainedModel:
    """Random weights: hidden 256, 6 layers, grouped-query attention."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=NUM_WORDS,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        intermediate_size=768,
        max_position_embeddings=num_positions,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config)


def make_branches(options: argparse.Namespace) -> list[Branch]:
    """Mistakes at even distances, each with its own random hint."""
    branches = []
    for index in range(options.hints):
        at = options.tokens * (index + 1) // (options.hints + 1)
        hint_ids = torch.randint(0, NUM_WORDS, (options.hint_tokens,)).tolist()
        branches.append(Branch(at, tuple(hint_ids), Span(at, at + options.span_tokens)))
    return branches


def step(
    model: PreTrainedModel, ids: Sequence[int], branches: Sequence[Branch], variant: str
) -> None:
    """One forward and backward, with whatever the variant needs for its loss."""
    model.zero_grad(set_to_none=True)
    if variant == "student":
        rows_NV = target_rows(model, hidden_states(model, [ids])[0], branches)
        torch.cat(rows_NV).logsumexp(-1).mean().backward()
        return
    passed = one_pass(model, [ids], [branches], "tree" if variant == "dense" else variant)
    if variant == "dense":
        logits_TV = project(model, passed.hidden_BTD[0])
        student = [logits_TV[rows_predicting(branch.span)] for branch in branches]
    else:
        student = target_rows(model, passed.hidden_BTD[0], branches)
    losses = [forward_kl(*pair) for pair in zip(student, passed.targets[0], strict=True)]
    mean_over_spans([losses]).backward()


def target_rows(
    model: PreTrainedModel, hidden_TD: Tensor, branches: Sequence[Branch]
) -> tuple[Tensor, ...]:
    """The student's logits on each span, and on nothing else."""
    rows_ND = torch.cat([hidden_TD[rows_predicting(branch.span)] for branch in branches])
    return tuple(project(model, rows_ND).split([len(branch.span) for branch in branches]))


def time_all(options: argparse.Namespace) -> dict[str, list[float]]:
    """CPU seconds of each variant in each repeat; the first round warms up and is dropped."""
    model, ids, branches = prepare(options)
    seconds: dict[str, list[float]] = {variant: [] for variant in options.variants}
    for _ in range(options.repeats + 1):
        for variant in options.variants:
            start = time.process_time()
            step(model, ids, branches, variant)
            seconds[variant].append(time.process_time() - start)
    return {variant: measured[1:] for variant, measured in seconds.items()}


def prepare(options: argparse.Namespace) -> tuple[PreTrainedModel, list[int], list[Branch]]:
    """The model, a random sequence, and its branches; the same in every process."""
    torch.set_num_threads(1)
    model = tiny_qwen3(2 * options.tokens)
    ids = torch.randint(0, NUM_WORDS, (options.tokens,)).tolist()
    return model, ids, make_branches(options)


def peak_mib() -> float:
    """The most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_memory(options: argparse.Namespace) -> None:
    """Print what one step of ``--only`` adds to this process, in MiB."""
    model, ids, branches = prepare(options)
    short = [Branch(8, (1,), Span(8, 16))]
    step(model, ids[:32], short, options.only)
    before = peak_mib()
    step(model, ids, branches, options.only)
    print(peak_mib() - before)


def memory_of(variant: str) -> float:
    """``measure_memory`` in a process of its own, with the options of this one."""
    command = [sys.executable, *sys.argv, "--only", variant]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_table(
    options: argparse.Namespace, mib: dict[str, float], seconds: dict[str, list[float]]
) -> None:
    """One line for each variant."""
    print(
        f"{options.tokens} tokens, {options.hints} branches of {options.hint_tokens} + "
        f"{options.span_tokens} tokens, vocabulary {NUM_WORDS}, {options.repeats} repeats, "
        f"torch {torch.__version__}\n"
    )
    print(f"{'variant':<9}{'seconds':>9}   {'ratio to student':<23}{'peak':>9}")
    print(f"{'':<9}{'median':>9}   {'min':>7}{'median':>8}{'max':>8}{'MiB':>9}")
    for variant in options.variants:
        ratios = [a / b for a, b in zip(seconds[variant], seconds["student"], strict=True)]
        middle, ratio = statistics.median(seconds[variant]), statistics.median(ratios)
        spread = f"{min(ratios):>7.3f}{ratio:>8.3f}{max(ratios):>8.3f}"
        print(f"{variant:<9}{middle:>9.2f}   {spread}{mib[variant]:>9.0f}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--long", action="store_true", help="16,384 tokens")
    parser.add_argument("--hints", type=int, default=5)
    parser.add_argument("--hint-tokens", type=int, default=60)
    parser.add_argument("--span-tokens", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--only", choices=VARIANTS, help="print the memory of one variant, in MiB")
    options = parser.parse_args()
    if options.long:
        options.tokens = 16_384
    if options.variants[0] != "student":
        parser.error("every ratio is to the student: --variants must begin with student")
    return options


def main() -> None:
    """Measure and print."""
    options = parse()
    if options.only:
        measure_memory(options)
    else:
        # First, while this process is small: a child's peak starts at that of its parent.
        mib = {variant: memory_of(variant) for variant in options.variants}
        print_table(options, mib, time_all(options))


if __name__ == "__main__":
    main()
