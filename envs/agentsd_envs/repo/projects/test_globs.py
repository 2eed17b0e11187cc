"""What ``globs`` promises."""

import unittest

from agentsd_envs.repo.projects.globs import (
    expand_braces,
    in_class,
    matches,
    part_matches,
    select,
)


class GlobsTest(unittest.TestCase):
    def test_matches_plain_text(self) -> None:
        paths = ["a/b.py", "a/b.pyc", "a", "a/b", "b.py"]
        self.assertEqual([p for p in paths if matches("a/b.py", p)], ["a/b.py"])

    def test_matches_any_text_with_a_star(self) -> None:
        texts = ["", "a", "ab", "ba", "abc", "cab"]
        self.assertEqual([t for t in texts if part_matches("a*", t)], ["a", "ab", "abc"])
        self.assertEqual([t for t in texts if part_matches("*b*", t)], ["ab", "ba", "abc", "cab"])

    def test_stops_a_star_at_a_slash(self) -> None:
        paths = ["a.py", "x/a.py", "x/y/a.py"]
        self.assertEqual([p for p in paths if matches("*.py", p)], ["a.py"])
        self.assertEqual([p for p in paths if matches("*/*.py", p)], ["x/a.py"])

    def test_crosses_slashes_with_two_stars(self) -> None:
        paths = ["a.py", "x/a.py", "x/y/a.py", "x/y/b.txt"]
        self.assertEqual(
            [p for p in paths if matches("**/a.py", p)], ["a.py", "x/a.py", "x/y/a.py"]
        )
        self.assertEqual(
            [p for p in paths if matches("x/**", p)], ["x/a.py", "x/y/a.py", "x/y/b.txt"]
        )

    def test_matches_one_character_with_a_question_mark(self) -> None:
        texts = ["", "a", "ab", "abc"]
        self.assertEqual([t for t in texts if part_matches("?b", t)], ["ab"])
        self.assertEqual([t for t in texts if part_matches("?", t)], ["a"])

    def test_matches_classes(self) -> None:
        texts = ["a1", "b1", "c1", "d1", "-1"]
        self.assertEqual([t for t in texts if part_matches("[a-c]?", t)], ["a1", "b1", "c1"])
        self.assertEqual([t for t in texts if part_matches("[d-]1", t)], ["d1", "-1"])

    def test_matches_what_is_not_in_a_class(self) -> None:
        self.assertEqual([t for t in "abc" if part_matches("[!b]", t)], ["a", "c"])
        self.assertEqual([c for c in "a5_x" if in_class("!0-9_", c)], ["a", "x"])

    def test_knows_members_of_a_class(self) -> None:
        self.assertEqual([c for c in "ambz09_-" if in_class("a-m0_", c)], ["a", "m", "b", "0", "_"])

    def test_refuses_brackets_and_braces_that_are_not_closed(self) -> None:
        with self.assertRaises(ValueError):
            part_matches("[ab", "a")
        with self.assertRaises(ValueError):
            expand_braces("a{b,c")

    def test_hides_names_with_a_leading_dot(self) -> None:
        texts = [".git", "git", ".gitignore"]
        self.assertEqual([t for t in texts if part_matches("*git*", t)], ["git"])
        self.assertEqual([t for t in texts if part_matches(".git*", t)], [".git", ".gitignore"])

    def test_expands_braces(self) -> None:
        self.assertEqual(expand_braces("a{b,c}d"), ["abd", "acd"])
        self.assertEqual(expand_braces("{x,y}{1,2}"), ["x1", "x2", "y1", "y2"])
        self.assertEqual(expand_braces("plain"), ["plain"])

    def test_expands_nested_and_empty_braces(self) -> None:
        self.assertEqual(expand_braces("a{b{1,2},c}"), ["ab1", "ab2", "ac"])
        self.assertEqual(expand_braces("a{,b}"), ["a", "ab"])

    def test_matches_any_of_the_braces(self) -> None:
        paths = ["a.py", "a.txt", "b.md", "c.py"]
        self.assertEqual([p for p in paths if matches("{a,b}.{py,md}", p)], ["a.py", "b.md"])

    def test_selects_paths_once_and_in_order(self) -> None:
        paths = ["b.py", "a.py", "b.py", "a.txt", "t/a.py"]
        self.assertEqual(select(paths, ["*.py"]), ["b.py", "a.py"])
        self.assertEqual(select(paths, ["*.txt", "**/a.py"]), ["a.py", "a.txt", "t/a.py"])

    def test_leaves_out_what_is_excluded(self) -> None:
        paths = ["a.py", "test_a.py", "b.py"]
        self.assertEqual(select(paths, ["*.py"], ["test_*"]), ["a.py", "b.py"])
        self.assertEqual(select(paths, [], ["x"]), [])
