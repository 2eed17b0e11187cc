"""What ``roman`` promises."""

import unittest

from agentsd_envs.repo.projects.roman import add, from_roman, is_roman, order, outline, to_roman


class RomanTest(unittest.TestCase):
    def test_writes_small_numbers(self) -> None:
        self.assertEqual(" ".join(to_roman(n) for n in (1, 2, 3, 5, 6, 10)), "I II III V VI X")
        self.assertEqual(to_roman(38), "XXXVIII")

    def test_writes_subtractive_pairs(self) -> None:
        self.assertEqual([to_roman(n) for n in (4, 9, 40, 90)], ["IV", "IX", "XL", "XC"])
        self.assertEqual([to_roman(n) for n in (400, 900, 944)], ["CD", "CM", "CMXLIV"])

    def test_writes_large_numbers(self) -> None:
        self.assertEqual(to_roman(1994), "MCMXCIV")
        self.assertEqual(to_roman(3888), "MMMDCCCLXXXVIII")
        self.assertEqual(to_roman(2561), "MMDLXI")

    def test_refuses_numbers_out_of_range(self) -> None:
        for number in (0, -1, 4000):
            with self.assertRaises(ValueError):
                to_roman(number)

    def test_writes_the_first_and_the_last_number(self) -> None:
        self.assertEqual(to_roman(1), "I")
        self.assertEqual(to_roman(3999), "MMMCMXCIX")

    def test_reads_numerals(self) -> None:
        self.assertEqual(from_roman("XIV"), 14)
        self.assertEqual(from_roman("MMXXIV"), 2024)
        self.assertEqual(from_roman("CDXLIV"), 444)
        self.assertEqual(from_roman("DCCC"), 800)

    def test_reads_any_case_and_blanks_around(self) -> None:
        self.assertEqual(from_roman(" mcm "), 1900)
        self.assertEqual(from_roman("xLii"), 42)

    def test_refuses_malformed_numerals(self) -> None:
        for text in ("IIII", "VX", "IC", "XM", "", "A", "VIV"):
            with self.assertRaises(ValueError):
                from_roman(text)

    def test_tells_numerals_from_words(self) -> None:
        texts = ["XII", "mix", "MIX", "cat", "", "IXI", "I", "MMMCMXCIX"]
        found = [text for text in texts if is_roman(text)]
        self.assertEqual(found, ["XII", "mix", "MIX", "I", "MMMCMXCIX"])

    def test_adds_numerals(self) -> None:
        self.assertEqual(add("II", "II"), "IV")
        self.assertEqual(add("CM", "XC", "IX", "I"), "M")

    def test_sorts_numerals_by_value(self) -> None:
        self.assertEqual(order(["X", "V", "IX", "I"]), ["I", "V", "IX", "X"])
        self.assertEqual(order(["v", "X", "V", "IX"]), ["v", "V", "IX", "X"])
        self.assertEqual(order(["X", "C", "V"], descending=True), ["C", "X", "V"])

    def test_numbers_an_outline(self) -> None:
        self.assertEqual(outline(["a", "b", "c"]), ["  I. a", " II. b", "III. c"])
        self.assertEqual(outline(["a", "b"], start=4), ["IV. a", " V. b"])
        self.assertEqual(outline([]), [])
