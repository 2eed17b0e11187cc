"""Checkpoints and run directories: a kill loses nothing, a resume repeats nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.optim import AdamW
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from agentsd.checkpoint import checkpoints, restore, save
from agentsd.config import Recipe
from agentsd.errors import ConfigError, DataError
from agentsd.rundir import open_run
from agentsd.types import Trajectory
from agentsd_envs.desk import policy

RECIPE = Recipe.model_validate({"policy": {"model": "desk"}, "env": {"name": "desk"}})


def trained() -> tuple[Qwen3ForCausalLM, AdamW]:
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=16,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            tie_word_embeddings=True,
        )
    )
    optimizer = AdamW(model.parameters(), lr=0.1)
    step(model, optimizer)
    return model, optimizer


def step(model: Qwen3ForCausalLM, optimizer: AdamW) -> None:
    ids = torch.tensor([[1, 2, 3]])
    loss = model(input_ids=ids, labels=ids).loss
    assert loss is not None
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def weights(model: Qwen3ForCausalLM) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_a_restored_model_takes_the_same_next_step(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(policy())
    model, optimizer = trained()
    checkpoint = save(tmp_path, 1, model, tokenizer, optimizer)
    step(model, optimizer)
    other, other_optimizer = trained()
    step(other, other_optimizer)  # somewhere else
    restore(checkpoint, other, other_optimizer)
    step(other, other_optimizer)
    for a, b in zip(weights(model), weights(other), strict=True):
        assert torch.equal(a, b)


def test_only_the_newest_two_stay_and_a_partial_one_does_not_count(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(policy())
    model, optimizer = trained()
    for number in (1, 2, 3):
        save(tmp_path, number, model, tokenizer, optimizer)
    (tmp_path / ".partial-00004").mkdir()
    assert [checkpoint.step for checkpoint in checkpoints(tmp_path)] == [2, 3]


def test_a_checkpoint_of_another_model_is_refused_in_one_line(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(policy())
    model, optimizer = trained()
    checkpoint = save(tmp_path, 1, model, tokenizer, optimizer)
    (checkpoint.path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(DataError, match="cannot resume from it") as caught:
        restore(checkpoint, model, optimizer)
    assert "\n" not in str(caught.value)


def test_a_folder_with_other_files_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="holds files but no run"):
        open_run(tmp_path, RECIPE, resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_unfinished_run_needs_resume_and_the_same_recipe(tmp_path: Path) -> None:
    open_run(tmp_path / "r", RECIPE, resume=False)
    with pytest.raises(ConfigError, match="--resume"):
        open_run(tmp_path / "r", RECIPE, resume=False)
    assert open_run(tmp_path / "r", RECIPE, resume=True).path == tmp_path / "r"
    train = RECIPE.train.model_copy(update={"seed": 5})
    with pytest.raises(ConfigError, match="another recipe"):
        open_run(tmp_path / "r", RECIPE.model_copy(update={"train": train}), resume=True)


def test_a_rewind_sets_later_records_aside_and_loses_none(tmp_path: Path) -> None:
    run = open_run(tmp_path / "r", RECIPE, resume=False)
    for number in (1, 2, 3):
        run.append(run.metrics, [{"step": number, "rollout/success": 0.5}])
        run.append_trajectory(number, Trajectory(f"step-{number:05d}/000", "t", "e", (), ()))
    run.rewind(2)
    assert [row["step"] for row in run.rows(run.metrics)] == [1, 2]
    assert not run.trajectories(3).exists()
    aside = run.path / "superseded-1"
    assert sorted(path.name for path in aside.iterdir()) == ["metrics.jsonl", "step-00003.jsonl"]
    assert len((aside / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_rewind_to_the_last_step_changes_nothing(tmp_path: Path) -> None:
    run = open_run(tmp_path / "r", RECIPE, resume=False)
    run.append(run.metrics, [{"step": 1}])
    run.rewind(1)
    assert sorted(path.name for path in run.path.iterdir()) == [
        "metrics.jsonl",
        "recipe.resolved.toml",
    ]
