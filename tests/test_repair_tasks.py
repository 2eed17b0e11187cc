"""The repair tasks that ship: mistakes, what they break, and tests split from their answers."""

from __future__ import annotations

import ast
import asyncio
import json
import random
from collections import Counter

import pytest

from agentsd.errors import ConfigError, DataError
from agentsd_envs.repo.answers import Raises, is_right, quiz
from agentsd_envs.repo.catalog import HELD_OUT, projects
from agentsd_envs.repo.expert import solution
from agentsd_envs.repo.mutations import Mutation, mutations
from agentsd_envs.repo.repairs import Broken, Repair, broken, broken_modules, repair_tasks, table
from agentsd_envs.repo.vetting import candidates, vet

PROGRAMS = projects()
ROWS = table()
SAMPLE = random.Random(0).sample(ROWS, 12)

TESTS = '''"""Tests."""

import unittest

from sums import add, halve


class SumsTest(unittest.TestCase):
    def test_adds(self) -> None:
        both = [add(1, 2), add(-1, 1)]
        self.assertEqual(both, [3, 0])
        self.assertEqual(add("a", "b"), "ab")

    def test_refuses_odd_numbers(self) -> None:
        for number in (1, 3):
            with self.assertRaises(ValueError):
                halve(number)
        self.assertEqual(halve(4), 2)
'''


def mutants(text: str) -> set[str]:
    """What the operators make of a function whose body is this text."""
    source = f"def f(a, b):\n    {text}\n"
    prefix = "def f(a, b):\n    "
    return {each.apply(source).removeprefix(prefix).rstrip() for each in mutations(source)}


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("return a < 1", {"return a <= 1", "return a < 2", "return a < 0", "return b < 1"}),
        ("return 0 < a <= b", {"return 0 <= a <= b", "return 0 < a < b"}),
        ("return a - b", {"return b - a", "return a + b", "a - b", "return b - b"}),
        ("return a and b", {"return a or b", "return a", "return b"}),
        ("return min(a)", {"return max(a)", "min(a)", "return min(b)"}),
        ("a += 1", {"a -= 1", "pass", "a += 2"}),
        ("return a if b else 1", {"return a if not b else 1", "return a if b else 2"}),
        ("return True", {"return False"}),
    ],
)
def test_operators_make_the_mistakes_they_are_named_for(text: str, wanted: set[str]) -> None:
    assert wanted <= mutants(text)


def test_a_guard_can_be_forgotten() -> None:
    source = "def f(a):\n    if a < 0:\n        raise ValueError\n    return a\n"
    made = {each.operator: each.apply(source) for each in mutations(source)}
    assert made["removed guard"] == "def f(a):\n    pass\n    return a\n"


def test_offsets_count_characters_where_the_parser_counts_bytes() -> None:
    made = mutants('return "é", a - b')
    assert 'return "é", b - a' in made


def test_text_in_docstrings_annotations_and_formats_stays_as_it_is() -> None:
    source = 'def f(a: "1 < 2") -> "3":\n    """Give 4."""\n    return f"{a + 5}"\n'
    assert mutations(source) == []


def test_every_mutation_compiles_and_is_another_text() -> None:
    source = PROGRAMS["roman"].modules["roman.py"]
    made = [each.apply(source) for each in mutations(source)]
    assert len(set(made)) == len(made) > 40
    assert source not in made
    for text in made:
        ast.parse(text)


def test_a_mutation_of_another_text_is_refused() -> None:
    with pytest.raises(ValueError, match="does not stand at 0"):
        Mutation("off by one", "f", 0, "1", "2").apply("2")


# --- questions and answers -----------------------------------------------------------------------


def test_the_questions_hold_none_of_the_answers() -> None:
    split = quiz(TESTS)
    assert split.expected == {
        "test_adds": ([3, 0], "ab"),
        "test_refuses_odd_numbers": (Raises("ValueError"), Raises("ValueError"), 2),
    }
    assert "unittest" not in split.source
    assert "assert" not in split.source
    assert "'ab'" not in split.source
    assert "_answer(both)" in split.source
    assert "ValueError" not in split.source


def test_tests_that_compute_what_they_expect_are_refused() -> None:
    with pytest.raises(ValueError, match=r"test_adds: add\(1, 1\) is no literal"):
        quiz(TESTS.replace('"ab")', "add(1, 1))"))
    with pytest.raises(ValueError, match="needs its values written out"):
        quiz(TESTS.replace("in (1, 3)", "in range(2)"))
    with pytest.raises(ValueError, match="assertIn cannot be split"):
        quiz(TESTS.replace("assertEqual(add", "assertIn(add"))


@pytest.mark.parametrize(
    "answers",
    [
        None,
        [],
        {},
        [{"list": [3, 0]}],
        [{"list": [3, 0]}, "ab", "ab"],
        [{"tuple": [3, 0]}, "ab"],
        [{"list": [3, 1]}, "ab"],
        [{"other": "AlwaysEqual"}, "ab"],
        [{"list": [3, 0], "tuple": []}, "ab"],
        [[3, 0], "ab"],
        [{"list": {"dict": []}}, "ab"],
        [{"dict": [[1, 2, 3]]}, "ab"],
        [{"set": [{"list": []}]}, "ab"],
    ],
)
def test_answers_that_are_not_exactly_right_are_wrong(answers: object) -> None:
    assert not is_right(([3, 0], "ab"), answers)


def test_right_answers_are_right() -> None:
    assert is_right(([3, 0], "ab"), [{"list": [3, 0]}, "ab"])
    assert is_right(({1: (2,)},), [{"dict": [[1, {"tuple": [2]}]]}])
    assert is_right((Raises("ValueError"),), [{"raises": ["OddError", "ValueError", "Exception"]}])
    assert not is_right((Raises("ValueError"),), [{"raises": ["KeyError", "LookupError"]}])
    assert not is_right((Raises("ValueError"),), [{"raises": []}])


def test_a_value_nested_without_end_is_wrong_and_harmless() -> None:
    deep: object = 1
    for _ in range(200):
        deep = {"list": [deep]}
    assert not is_right(([1],), [deep])


# --- the programs and the table ------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_without_mistakes_passes_all_its_tests(name: str) -> None:
    program = PROGRAMS[name]
    vetted = asyncio.run(vet(program.modules, quiz(program.tests)))
    assert vetted.failing == ()
    assert vetted.is_bounded


def test_there_are_enough_distinct_tasks_in_both_splits() -> None:
    sources = {
        (row.project, tuple(broken_modules(PROGRAMS[row.project], row.edits).values()))
        for row in ROWS
    }
    assert len(sources) == len(ROWS) >= 200
    assert len(PROGRAMS) >= 12
    counts = Counter((PROGRAMS[row.project].split, row.level) for row in ROWS)
    assert set(counts) == {(split, level) for split in ("train", "test") for level in (1, 2, 3)}
    assert min(counts.values()) >= 20


def test_no_program_is_in_both_splits() -> None:
    train, test = (
        {task.data["repair"]["project"] for task in repair_tasks(split, None, (1, 2, 3), 0)}
        for split in ("train", "test")
    )
    assert test == HELD_OUT
    assert train == set(PROGRAMS) - HELD_OUT


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_table_holds_mistakes_that_the_generator_makes(name: str) -> None:
    made = candidates(PROGRAMS[name], random.Random(0))
    held = [edit for row in ROWS if row.project == name for edit in row.edits]
    assert held
    assert not [edit for edit in held if edit not in made]


def assert_verified(row: Repair) -> None:
    """The mistakes of a row break exactly the tests it names, and nothing hangs."""
    program = PROGRAMS[row.project]
    vetted = asyncio.run(vet(broken_modules(program, row.edits), quiz(program.tests)))
    assert set(vetted.failing) == set(row.failing)
    assert vetted.is_bounded


@pytest.mark.parametrize("row", SAMPLE, ids=lambda row: row.id)
def test_a_sample_of_tasks_breaks_what_the_table_says(row: Repair) -> None:
    assert_verified(row)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_task_breaks_what_the_table_says(name: str) -> None:
    for row in (row for row in ROWS if row.project == name):
        assert_verified(row)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_reference_solutions_restore_the_program(name: str) -> None:
    for row in (row for row in ROWS if row.project == name):
        repair = Broken(row, PROGRAMS[name])
        modules = repair.modules()
        assert modules != PROGRAMS[name].modules
        for call in solution(repair.task()):
            arguments = json.loads(call.raw_arguments)
            text = modules[arguments["path"]]
            assert text.count(arguments["old"]) == 1, row.id
            modules[arguments["path"]] = text.replace(arguments["old"], arguments["new"])
        assert modules == PROGRAMS[name].modules, row.id


# --- what the policy sees ------------------------------------------------------------------------


def methods(source: str) -> set[str]:
    """The test methods in a file."""
    return {n.name for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)}


def test_level_1_names_a_failing_test_that_is_shown_and_holds_others_back() -> None:
    for row in (row for row in ROWS if row.level == 1):
        repair = Broken(row, PROGRAMS[row.project])
        shown = methods(repair.shown_tests())
        assert f".{row.failing[0]}`" in repair.prompt()
        assert shown & set(row.failing) == {row.failing[0]}
        assert len(row.failing) > 1


def test_levels_2_and_3_show_only_tests_that_pass() -> None:
    for row in (row for row in ROWS if row.level > 1):
        repair = Broken(row, PROGRAMS[row.project])
        assert not methods(repair.shown_tests()) & set(row.failing)
        assert "no longer" in repair.prompt()
        assert row.failing[0] not in repair.prompt()


def test_level_3_has_two_mistakes_in_different_functions_that_each_break_something() -> None:
    for row in (row for row in ROWS if row.level == 3):
        one, other = row.edits
        assert one.function != other.function
        assert len(row.failing) > 1


def test_a_repository_stands_on_its_own() -> None:
    for row in SAMPLE:
        repair = Broken(row, PROGRAMS[row.project])
        text = "".join([*repair.modules().values(), repair.shown_tests(), repair.prompt()])
        assert "agentsd" not in text
        assert "noqa" not in text


def test_a_seed_decides_the_order_and_levels_take_turns() -> None:
    first = repair_tasks("train", 30, (1, 2, 3), 0)
    assert first == repair_tasks("train", 30, (1, 2, 3), 0)
    assert first != repair_tasks("train", 30, (1, 2, 3), 1)
    assert [task.data["repair"]["level"] for task in first[:4]] == [1, 2, 3, 1]


def test_counts_levels_and_splits_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ConfigError, match="got a count of 9999"):
        repair_tasks("test", 9999, (1,), 0)
    with pytest.raises(ConfigError, match="levels must be some of"):
        repair_tasks("test", None, (4,), 0)
    with pytest.raises(ConfigError, match="no split 'dev'"):
        repair_tasks("dev", None, (1,), 0)


def test_task_data_that_name_no_program_are_refused() -> None:
    data = {"repair": ROWS[0].model_dump(mode="json")}
    assert broken(data).repair == ROWS[0]
    with pytest.raises(DataError, match="there is no program 'chess'"):
        broken({"repair": data["repair"] | {"project": "chess"}})
    with pytest.raises(DataError, match=r"repair\.level"):
        broken({"repair": data["repair"] | {"level": 7}})
