"""What ``calculator`` promises."""

import unittest

from agentsd_envs.repo.projects.calculator.evaluator import evaluate
from agentsd_envs.repo.projects.calculator.tokens import FormulaError, tokenize


class CalculatorTest(unittest.TestCase):
    def test_adds_and_subtracts_from_left_to_right(self) -> None:
        self.assertEqual(evaluate("1 + 2 + 3"), 6)
        self.assertEqual(evaluate("10 - 4 - 3"), 3)

    def test_multiplies_before_it_adds(self) -> None:
        self.assertEqual(evaluate("2 + 3 * 4"), 14)
        self.assertEqual(evaluate("(2 + 3) * 4"), 20)

    def test_divides_and_takes_remainders(self) -> None:
        self.assertEqual(evaluate("8 / 2 / 2"), 2.0)
        self.assertEqual(evaluate("17 % 5"), 2)
        self.assertEqual(evaluate("7 / 2"), 3.5)

    def test_refuses_to_divide_by_zero(self) -> None:
        with self.assertRaises(FormulaError):
            evaluate("1 / 0")
        with self.assertRaises(FormulaError):
            evaluate("1 % (2 - 2)")
        self.assertEqual(evaluate("5 * 0"), 0)

    def test_groups_powers_to_the_right(self) -> None:
        self.assertEqual(evaluate("2 ^ 3 ^ 2"), 512)
        self.assertEqual(evaluate("2 ^ 10"), 1024)

    def test_binds_a_sign_weaker_than_a_power(self) -> None:
        self.assertEqual(evaluate("-2 ^ 2"), -4)
        self.assertEqual(evaluate("2 ^ -1"), 0.5)
        self.assertEqual(evaluate("--3"), 3)
        self.assertEqual(evaluate("4 * -2"), -8)

    def test_reads_decimal_numbers(self) -> None:
        self.assertEqual(evaluate("0.5 + .25"), 0.75)
        self.assertEqual(tokenize("1.5"), [("number", "1.5")])
        with self.assertRaises(FormulaError):
            evaluate("1.2.3")

    def test_splits_names_numbers_and_symbols(self) -> None:
        self.assertEqual(
            tokenize(" x_1*2 )"),
            [("name", "x_1"), ("symbol", "*"), ("number", "2"), ("symbol", ")")],
        )
        self.assertEqual(tokenize("_a 3b"), [("name", "_a"), ("number", "3"), ("name", "b")])

    def test_refuses_unknown_characters(self) -> None:
        with self.assertRaises(FormulaError):
            tokenize("1 $ 2")
        with self.assertRaises(FormulaError):
            tokenize(".")

    def test_looks_names_up(self) -> None:
        self.assertEqual(evaluate("a * b", {"a": 6, "b": 7}), 42)
        with self.assertRaises(FormulaError):
            evaluate("a")

    def test_assigns_names(self) -> None:
        names = {"y": 1.0}
        self.assertEqual(evaluate("x = y + 4", names), 5.0)
        self.assertEqual(names, {"y": 1.0, "x": 5.0})
        self.assertEqual(evaluate("x", names), 5.0)

    def test_calls_functions(self) -> None:
        self.assertEqual(evaluate("max(1, 2 * 3, 4)"), 6)
        self.assertEqual(evaluate("min(5, abs(0 - 2))"), 2)

    def test_refuses_unknown_functions(self) -> None:
        with self.assertRaises(FormulaError):
            evaluate("sin(1)")

    def test_refuses_formulas_that_end_early_or_late(self) -> None:
        for text in ("", "   ", "1 +", "(1", "max(1", "1 2", "1)", "= 3", "x ="):
            with self.assertRaises(FormulaError):
                evaluate(text)
