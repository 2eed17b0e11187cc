"""What ``trie`` promises."""

import unittest

from agentsd_envs.repo.projects.trie import Trie


class TrieTest(unittest.TestCase):
    def test_counts_how_often_words_were_added(self) -> None:
        trie = Trie(["tea", "ten", "tea"])
        self.assertEqual([trie.count(w) for w in ("tea", "ten", "te", "x")], [2, 1, 0, 0])

    def test_adds_a_word_several_times(self) -> None:
        trie = Trie()
        trie.add("a", 5)
        trie.add("a")
        self.assertEqual([trie.count("a"), trie.size], [6, 1])

    def test_refuses_empty_words_and_no_times(self) -> None:
        with self.assertRaises(ValueError):
            Trie([""])
        with self.assertRaises(ValueError):
            Trie().add("a", 0)

    def test_knows_how_many_words_it_holds(self) -> None:
        trie = Trie(["a", "ab", "a"])
        self.assertEqual(trie.size, 2)
        trie.remove("a")
        self.assertEqual(trie.size, 1)
        trie.remove("zzz")
        self.assertEqual(trie.size, 1)

    def test_lists_words_sorted(self) -> None:
        trie = Trie(["ten", "to", "a", "tea", "inn"])
        self.assertEqual(trie.words(), ["a", "inn", "tea", "ten", "to"])
        self.assertEqual(trie.words("te"), ["tea", "ten"])
        self.assertEqual(trie.words("x"), [])

    def test_lists_a_word_that_starts_another(self) -> None:
        self.assertEqual(Trie(["in", "inn", "i"]).words("in"), ["in", "inn"])

    def test_knows_prefixes(self) -> None:
        trie = Trie(["tea"])
        found = [p for p in ("", "t", "te", "tea", "teas", "a") if trie.has_prefix(p)]
        self.assertEqual(found, ["", "t", "te", "tea"])

    def test_completes_with_the_most_frequent_words(self) -> None:
        trie = Trie(["car", "cat", "cat", "can", "cab", "cow", "cat", "can"])
        self.assertEqual(trie.complete("ca"), ["cat", "can", "cab"])
        self.assertEqual(trie.complete("ca", limit=1), ["cat"])
        self.assertEqual(trie.complete("z"), [])

    def test_sorts_equal_completions(self) -> None:
        self.assertEqual(Trie(["b", "a", "c", "d"]).complete("", limit=4), ["a", "b", "c", "d"])

    def test_finds_the_longest_word_at_the_start(self) -> None:
        trie = Trie(["a", "abc", "abcde"])
        self.assertEqual(
            [trie.longest_prefix(t) for t in ("abcd", "abx", "b", "")], ["abc", "a", "", ""]
        )

    def test_removes_words(self) -> None:
        trie = Trie(["tea", "ten"])
        self.assertEqual([trie.remove("tea"), trie.remove("tea")], [True, False])
        self.assertEqual(trie.words(), ["ten"])

    def test_does_not_remove_what_is_only_a_prefix(self) -> None:
        trie = Trie(["tea"])
        self.assertEqual(
            [trie.remove("te"), trie.remove("teas"), trie.words()], [False, False, ["tea"]]
        )

    def test_prunes_branches_that_nothing_needs(self) -> None:
        trie = Trie(["tea", "ten", "teapot"])
        self.assertEqual(trie.nodes(), 7)
        trie.remove("teapot")
        self.assertEqual(trie.nodes(), 4)
        trie.remove("tea")
        self.assertEqual(trie.nodes(), 3)

    def test_keeps_a_longer_word_when_a_shorter_one_goes(self) -> None:
        trie = Trie(["in", "inn"])
        trie.remove("in")
        self.assertEqual([trie.words(), trie.nodes()], [["inn"], 3])
