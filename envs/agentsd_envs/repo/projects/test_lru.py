"""What ``lru`` promises."""

import unittest

from agentsd_envs.repo.projects.lru import Cache, memoized


class CacheTest(unittest.TestCase):
    def test_gives_back_what_it_holds(self) -> None:
        cache = Cache(2)
        cache.put("a", 1)
        self.assertEqual([cache.get("a"), cache.get("b"), cache.get("b", 7)], [1, None, 7])

    def test_forgets_the_least_recently_used_entry(self) -> None:
        cache = Cache(2)
        cache.put("a", 1)
        cache.put("b", 2)
        cache.get("a")
        self.assertEqual(cache.put("c", 3), "b")
        self.assertEqual(cache.keys(), ["a", "c"])

    def test_keeps_as_many_entries_as_its_size(self) -> None:
        cache = Cache(3)
        self.assertEqual([cache.put(n, n) for n in range(5)], [None, None, None, 0, 1])
        self.assertEqual(len(cache), 3)

    def test_replaces_a_value_without_forgetting_another(self) -> None:
        cache = Cache(2)
        cache.put("a", 1)
        cache.put("b", 2)
        self.assertEqual(cache.put("a", 9), None)
        self.assertEqual([cache.keys(), cache.peek("a")], [["b", "a"], 9])

    def test_peeks_without_counting_as_use(self) -> None:
        cache = Cache(2)
        cache.put("a", 1)
        cache.put("b", 2)
        self.assertEqual([cache.peek("a"), cache.peek("z", 0)], [1, 0])
        self.assertEqual(cache.put("c", 3), "a")
        self.assertEqual([cache.hits, cache.misses], [0, 0])

    def test_counts_hits_and_misses(self) -> None:
        cache = Cache(2)
        self.assertEqual(cache.hit_rate(), 0.0)
        cache.put("a", 1)
        for key in ("a", "b", "a", "a"):
            cache.get(key)
        self.assertEqual([cache.hits, cache.misses, cache.hit_rate()], [3, 1, 0.75])

    def test_forgets_what_is_too_old(self) -> None:
        cache = Cache(4, max_age=10)
        cache.put("a", 1)
        cache.tick(6)
        cache.put("b", 2)
        cache.tick(3)
        self.assertEqual(cache.keys(), ["a", "b"])
        cache.tick(1)
        self.assertEqual(cache.keys(), ["b"])

    def test_lets_a_new_value_start_young(self) -> None:
        cache = Cache(4, max_age=5)
        cache.put("a", 1)
        cache.tick(4)
        cache.put("a", 2)
        cache.tick(4)
        self.assertEqual(cache.get("a"), 2)

    def test_keeps_old_entries_without_a_limit_of_age(self) -> None:
        cache = Cache(2)
        cache.put("a", 1)
        cache.tick(1e9)
        self.assertEqual(cache.keys(), ["a"])

    def test_drops_a_key(self) -> None:
        cache = Cache(2)
        cache.put("a", 1)
        self.assertEqual([cache.drop("a"), cache.drop("a"), len(cache)], [True, False, 0])

    def test_shrinks_from_the_old_end(self) -> None:
        cache = Cache(4)
        for key in "abcd":
            cache.put(key, key)
        self.assertEqual([cache.resize(2), cache.keys(), cache.size], [2, ["c", "d"], 2])
        self.assertEqual([cache.resize(3), cache.put("e", 1)], [0, None])

    def test_refuses_a_size_below_one(self) -> None:
        with self.assertRaises(ValueError):
            Cache(0)
        with self.assertRaises(ValueError):
            Cache(1).resize(0)
        self.assertEqual(Cache(1).size, 1)

    def test_remembers_the_calls_of_a_function(self) -> None:
        calls = []
        square = memoized(lambda n: calls.append(n) or n * n)
        self.assertEqual([square(n) for n in (3, 4, 3, 5, 4)], [9, 16, 9, 25, 16])
        self.assertEqual(calls, [3, 4, 5, 4])

    def test_remembers_a_result_that_is_none(self) -> None:
        calls = []
        nothing = memoized(calls.append, size=1)
        self.assertEqual([nothing(1), nothing(1), calls], [None, None, [1]])
