"""What ``rational`` promises."""

import unittest

from agentsd_envs.repo.projects.rational import Rational, gcd, mean


class RationalTest(unittest.TestCase):
    def test_finds_common_divisors(self) -> None:
        self.assertEqual([gcd(12, 18), gcd(7, 3), gcd(0, 5), gcd(-4, 6)], [6, 1, 5, 2])

    def test_reduces_to_lowest_terms(self) -> None:
        half = Rational(6, 12)
        self.assertEqual([half.top, half.bottom], [1, 2])
        self.assertEqual([str(Rational(10, 5)), str(Rational(9, 6))], ["2", "3/2"])

    def test_keeps_the_sign_in_the_numerator(self) -> None:
        found = [Rational(1, -2), Rational(-3, -6), Rational(-4, 6), Rational(5, -1)]
        self.assertEqual([str(each) for each in found], ["-1/2", "1/2", "-2/3", "-5"])

    def test_refuses_a_zero_denominator(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            Rational(1, 0)

    def test_adds_and_subtracts(self) -> None:
        self.assertEqual(str(Rational(1, 6) + Rational(3, 4)), "11/12")
        self.assertEqual(str(Rational(1, 2) - Rational(3, 4)), "-1/4")
        self.assertEqual(str(Rational(1, 2) - Rational(1, 2)), "0")

    def test_multiplies_and_divides(self) -> None:
        self.assertEqual(str(Rational(2, 3) * Rational(9, 4)), "3/2")
        self.assertEqual(str(Rational(2, 3) / Rational(4, 9)), "3/2")
        self.assertEqual(str(Rational(1, 3) / Rational(-2)), "-1/6")

    def test_refuses_to_divide_by_zero(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            str(Rational(1, 2) / Rational(0, 3))

    def test_raises_to_powers(self) -> None:
        self.assertEqual(str(Rational(2, 3) ** 3), "8/27")
        self.assertEqual(str(Rational(2, 3) ** -2), "9/4")
        self.assertEqual(str(Rational(-1, 2) ** 0), "1")

    def test_compares(self) -> None:
        self.assertEqual(
            [Rational(1, 3) < Rational(1, 2), Rational(1, 2) < Rational(1, 2)], [True, False]
        )
        self.assertEqual(
            [Rational(-1, 2) < Rational(-1, 3), Rational(3) < Rational(5, 2)], [True, False]
        )
        values = [Rational(3, 4), Rational(-1), Rational(2, 3), Rational(0)]
        self.assertEqual([str(each) for each in sorted(values)], ["-1", "0", "2/3", "3/4"])

    def test_treats_equal_fractions_as_one(self) -> None:
        values = {Rational(1, 2), Rational(2, 4), Rational(-1, -2), Rational(1, 3), Rational(2, 3)}
        self.assertEqual(len(values), 3)
        self.assertEqual([Rational(4, 2) == Rational(2), Rational(1) == "1"], [True, False])

    def test_rounds_down_and_up(self) -> None:
        values = [Rational(7, 2), Rational(-7, 2), Rational(4)]
        self.assertEqual([each.floor() for each in values], [3, -4, 4])
        self.assertEqual([each.ceil() for each in values], [4, -3, 4])

    def test_writes_mixed_numbers(self) -> None:
        values = [Rational(7, 2), Rational(-7, 2), Rational(1, 3), Rational(-1, 3), Rational(-4)]
        self.assertEqual(
            [each.mixed() for each in values], ["3 1/2", "-3 1/2", "1/3", "-1/3", "-4"]
        )

    def test_writes_decimals(self) -> None:
        self.assertEqual(
            [Rational(1, 3).decimals(4), Rational(-7, 2).decimals(1)], ["0.3333", "-3.5"]
        )
        self.assertEqual([Rational(1, 16).decimals(3), Rational(5, 2).decimals(0)], ["0.062", "2"])

    def test_reads_fractions_and_decimals(self) -> None:
        texts = ["3/4", "-2", "0.125", "-1.5", "6/-8"]
        self.assertEqual(
            [str(Rational.parse(t)) for t in texts], ["3/4", "-2", "1/8", "-3/2", "-3/4"]
        )

    def test_reads_mixed_numbers(self) -> None:
        self.assertEqual([str(Rational.parse(t)) for t in ("1 1/2", "-1 1/2")], ["3/2", "-3/2"])
        for text in ("", "1 2 3", "a/b"):
            with self.assertRaises(ValueError):
                Rational.parse(text)

    def test_averages_exactly(self) -> None:
        self.assertEqual(str(mean([Rational(1, 2), Rational(1, 3), Rational(1, 6)])), "1/3")
        with self.assertRaises(ValueError):
            mean([])
