"""What ``runlength`` promises."""

import unittest

from agentsd_envs.repo.projects.runlength import (
    decode,
    encode,
    longest_run,
    pack,
    ratio,
    runs,
    unpack,
)


class RunLengthTest(unittest.TestCase):
    def test_groups_equal_neighbours(self) -> None:
        self.assertEqual(runs("aabccc"), [("a", 2), ("b", 1), ("c", 3)])
        self.assertEqual(runs([1, 1, 2, 1]), [(1, 2), (2, 1), (1, 1)])
        self.assertEqual(runs([]), [])

    def test_encodes_runs(self) -> None:
        self.assertEqual([encode("aaab"), encode("abc"), encode("")], ["3ab", "abc", ""])
        self.assertEqual(encode("x" * 12 + "yy"), "12x2y")

    def test_escapes_digits_and_escapes(self) -> None:
        self.assertEqual([encode("111"), encode("a1"), encode("\\\\b")], ["3\\1", "a\\1", "2\\\\b"])

    def test_decodes_runs(self) -> None:
        self.assertEqual([decode("3ab"), decode("12x"), decode("")], ["aaab", "xxxxxxxxxxxx", ""])
        self.assertEqual(decode("2a3bc"), "aabbbc")

    def test_decodes_escapes(self) -> None:
        self.assertEqual([decode("3\\1x"), decode("\\\\")], ["111x", "\\"])

    def test_refuses_codes_that_end_early(self) -> None:
        for code in ("a3", "a\\", "12"):
            with self.assertRaises(ValueError):
                decode(code)

    def test_refuses_runs_of_none(self) -> None:
        with self.assertRaises(ValueError):
            decode("0a")
        self.assertEqual(decode("1a"), "a")

    def test_packs_long_runs(self) -> None:
        self.assertEqual(pack([7, 7, 7, 7]), [253, 7])
        self.assertEqual(pack([1, 2, 2, 2, 3]), [0, 1, 254, 2, 0, 3])

    def test_packs_short_runs_as_they_are(self) -> None:
        self.assertEqual(pack([1, 1, 2, 2]), [3, 1, 1, 2, 2])
        self.assertEqual(pack([]), [])

    def test_packs_at_most_the_longest_block(self) -> None:
        self.assertEqual(pack([5] * 10, longest=4), [253, 5, 253, 5, 1, 5, 5])
        self.assertEqual(pack([1, 2, 3, 4, 5], longest=3), [2, 1, 2, 3, 1, 4, 5])

    def test_unpacks(self) -> None:
        self.assertEqual(unpack([253, 7, 1, 8, 9]), [7, 7, 7, 7, 8, 9])
        self.assertEqual(unpack([128, 0, 4]), [4])
        self.assertEqual(unpack([]), [])

    def test_refuses_packed_blocks_that_end_early(self) -> None:
        for packed in ([3, 1, 2], [0], [250], [1, 2]):
            with self.assertRaises(ValueError):
                unpack(packed)

    def test_finds_the_longest_run(self) -> None:
        self.assertEqual(longest_run("abbccd"), ("b", 2))
        self.assertEqual(longest_run([3, 3, 3, 1, 1]), (3, 3))
        self.assertEqual(longest_run(""), (None, 0))

    def test_measures_how_much_is_saved(self) -> None:
        self.assertEqual([ratio("aaaaaaaa"), ratio("ab"), ratio("")], [0.25, 1.0, 1.0])
