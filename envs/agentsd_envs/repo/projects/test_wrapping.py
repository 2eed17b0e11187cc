"""What ``wrapping`` promises."""

import unittest

from agentsd_envs.repo.projects.wrapping import (
    center,
    columns,
    justify,
    paragraphs,
    shorten,
    wrap,
)


class WrappingTest(unittest.TestCase):
    def test_breaks_at_blanks(self) -> None:
        self.assertEqual(wrap("the quick brown fox", 10), ["the quick", "brown fox"])
        self.assertEqual(wrap("a b c d", 3), ["a b", "c d"])

    def test_fills_lines_to_the_full_width(self) -> None:
        self.assertEqual(wrap("abcd efgh i", 9), ["abcd efgh", "i"])
        self.assertEqual(wrap("abcd efgh i", 8), ["abcd", "efgh i"])

    def test_cuts_words_that_are_too_long(self) -> None:
        self.assertEqual(wrap("abcdefgh", 3), ["abc", "def", "gh"])
        self.assertEqual(wrap("ab cdefgh", 4), ["ab", "cdef", "gh"])

    def test_makes_no_line_from_blanks(self) -> None:
        self.assertEqual(wrap("", 5), [])
        self.assertEqual(wrap("   ", 5), [])
        self.assertEqual(wrap("  a   b ", 5), ["a b"])

    def test_indents_all_lines_but_the_first(self) -> None:
        self.assertEqual(wrap("one two six", 5, indent="> "), ["one", "> two", "> six"])
        self.assertEqual(wrap("a bcdef", 4, indent="  "), ["a", "  bc", "  de", "  f"])

    def test_refuses_a_width_without_room(self) -> None:
        with self.assertRaises(ValueError):
            wrap("a", 0)
        with self.assertRaises(ValueError):
            wrap("a", 2, indent="  ")
        self.assertEqual(wrap("ab", 1), ["a", "b"])

    def test_justifies_with_the_left_blanks_first(self) -> None:
        self.assertEqual(justify("a b c", 8), "a   b  c")
        self.assertEqual(justify("a b c", 7), "a  b  c")
        self.assertEqual(justify("to be or", 12), "to   be   or")

    def test_justifies_a_single_word_to_the_left(self) -> None:
        self.assertEqual(justify("word", 6), "word  ")
        self.assertEqual(justify("", 2), "  ")

    def test_leaves_lines_that_are_too_long_alone(self) -> None:
        self.assertEqual(justify("aaa bbb", 5), "aaa bbb")
        self.assertEqual(justify("aa bb cc", 8), "aa bb cc")
        self.assertEqual(center("abc", 2), "abc")

    def test_centers_with_the_odd_place_to_the_right(self) -> None:
        self.assertEqual(center("ab", 7, "-"), "--ab---")
        self.assertEqual(center("a", 3), " a ")

    def test_shortens_at_a_blank(self) -> None:
        self.assertEqual(shorten("hello wide world", 13), "hello wide...")
        self.assertEqual(shorten("hello wide world", 12), "hello...")
        self.assertEqual(shorten("hello wide world", 16), "hello wide world")
        self.assertEqual(shorten("a  b", 3), "a b")

    def test_shortens_with_another_mark(self) -> None:
        self.assertEqual(shorten("one two three", 9, mark="~"), "one two~")
        self.assertEqual(shorten("extraordinary", 5), "...")

    def test_finds_paragraphs(self) -> None:
        self.assertEqual(paragraphs("a\n b\n\n\nc\n"), ["a b", "c"])
        self.assertEqual(paragraphs("\n \n"), [])

    def test_aligns_columns(self) -> None:
        self.assertEqual(columns([["a", "bb"], ["ccc", "d"]]), ["a    bb", "ccc  d"])
        self.assertEqual(columns([["a"], ["bb", "c"]], gap=1), ["a", "bb c"])
        self.assertEqual(columns([]), [])
