"""Checkpoints: a Hugging Face folder that also holds the optimizer. Written beside, then renamed.

Knows nothing of what a step does.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch.optim import Optimizer
from transformers import PreTrainedModel

from agentsd.errors import DataError, StorageError

KEPT = 2
"""Checkpoints that stay; older ones are removed once a newer one is complete."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    path: Path
    step: int
    """Steps that were taken."""


def save(
    folder: Path, step: int, model: PreTrainedModel, tokenizer: Any, optimizer: Optimizer
) -> Checkpoint:
    """Write ``folder/step-NNNNN``; a kill at any moment leaves the older ones whole.

    Raises ``StorageError`` when the disk is full; the older ones stay.
    """
    final = folder / f"step-{step:05d}"
    partial = folder / f".partial-{step:05d}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        torch.save(optimizer.state_dict(), partial / "optimizer.pt")
        (partial / "state.json").write_text(json.dumps({"step": step}) + "\n")
        _sync(partial)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch says RuntimeError
        shutil.rmtree(partial, ignore_errors=True)
        reason = str(error).splitlines()[0]
        raise StorageError(
            f"{final}: cannot save a checkpoint, is the disk full? {reason}"
        ) from error
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    _sync_folder(folder)
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old.path)
    return Checkpoint(final, step)


def checkpoints(folder: Path) -> list[Checkpoint]:
    """The complete checkpoints, oldest first."""
    paths = sorted(folder.glob("step-*")) if folder.is_dir() else []
    return [Checkpoint(path, _step_of(path)) for path in paths]


def restore(checkpoint: Checkpoint, model: PreTrainedModel, optimizer: Optimizer) -> None:
    """Put weights and optimizer state back. Raises ``DataError`` when they do not fit."""
    weights, state = checkpoint.path / "model.safetensors", checkpoint.path / "optimizer.pt"
    try:
        load_model(model, weights, strict=True, device=str(model.device))
        optimizer.load_state_dict(torch.load(state, map_location=model.device, weights_only=True))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{checkpoint.path}: cannot resume from it: {reason}") from error


def _step_of(path: Path) -> int:
    try:
        return int(json.loads((path / "state.json").read_text())["step"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a checkpoint: no step in state.json") from error


def _sync(folder: Path) -> None:
    """Wait until every file of the folder is on disk, so that the rename promises something."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
