"""Task files: what they may hold, and what is said about the ones that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentsd.errors import ConfigError, DataError
from agentsd.tasks import as_splits, read_tasks
from agentsd.types import Task


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.jsonl"


def test_a_task_file_is_read_in_order_and_by_split(path: Path):
    path.write_text(
        '{"id": "b", "prompt": "Zürich?", "data": {"n": [1]}, "max_calls": 3}\n'
        "\n"
        '{"id": "a", "prompt": "Bern?", "split": "test"}\n'
        '{"id": "c", "prompt": "Basel?", "split": "train"}',
        encoding="utf-8",
    )
    splits = read_tasks(path)
    assert list(splits.of("train")) == [Task("b", "Zürich?", {"n": [1]}, 3), Task("c", "Basel?")]
    assert list(splits.of("test")) == [Task("a", "Bern?")]


@pytest.mark.parametrize(
    ("second_line", "reason"),
    [
        ('{"id": "b", "prompt": ', ":2: not JSON: Expecting value at column 23"),
        ('{"id": "b", "promt": "x", "prompt": "y"}', ":2: promt: Extra inputs"),
        ('{"id": "b"}', ":2: prompt: Field required"),
        ('{"id": 7, "prompt": "x"}', ":2: id: Input should be a valid string"),
        ('{"id": "b", "prompt": "x", "max_calls": 0}', ":2: max_calls: Input should be greater"),
        ('{"id": "b", "prompt": "x", "split": "dev"}', ":2: split: Input should be 'train'"),
        ("[1]", ":2: Input should be a valid dictionary"),
        ('{"id": "a", "prompt": "again"}', ":2: id 'a' was used in line 1 already"),
    ],
)
def test_a_wrong_line_is_named_with_its_file(path: Path, second_line: str, reason: str):
    path.write_text('{"id": "a", "prompt": "x"}\n' + second_line)
    with pytest.raises(DataError) as caught:
        read_tasks(path)
    assert f"{path}{reason}" in str(caught.value)


def test_a_file_that_is_missing_empty_or_not_text_is_named(path: Path):
    with pytest.raises(DataError, match="No such file"):
        read_tasks(path)
    path.write_text("\n\n")
    with pytest.raises(DataError, match="holds no tasks"):
        read_tasks(path)
    path.write_bytes(b'{"id": "\xff"}')
    with pytest.raises(DataError, match="is not UTF-8"):
        read_tasks(path)


def test_tasks_made_in_python_are_for_training_unless_they_say_otherwise():
    a, b = Task("a", "x"), Task("b", "y")
    assert as_splits([a, b]).of("train") == (a, b)
    assert as_splits({"train": [a], "test": [b]}).of("test") == (b,)
    with pytest.raises(DataError, match="two tasks have the id 'a'"):
        as_splits({"train": [a], "test": [a]})


def test_a_split_without_tasks_says_which_splits_there_are(path: Path):
    path.write_text('{"id": "a", "prompt": "x"}')
    with pytest.raises(ConfigError, match=r"has no tasks in split 'test'; it has: train"):
        read_tasks(path).of("test")
