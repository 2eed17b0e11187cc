"""What ``intervals`` promises."""

import unittest

from agentsd_envs.repo.projects.intervals import (
    busiest,
    covers,
    gaps,
    insert,
    intersect,
    merge,
    subtract,
    total,
)


class IntervalsTest(unittest.TestCase):
    def test_joins_intervals_that_overlap(self) -> None:
        self.assertEqual(merge([(5, 9), (1, 6)]), [(1, 9)])
        self.assertEqual(merge([(1, 10), (2, 3)]), [(1, 10)])

    def test_joins_intervals_that_touch(self) -> None:
        self.assertEqual(merge([(1, 3), (3, 5)]), [(1, 5)])
        self.assertEqual(merge([(1, 3), (4, 5)]), [(1, 3), (4, 5)])

    def test_joins_across_a_gap_when_asked(self) -> None:
        self.assertEqual(merge([(1, 3), (5, 6), (9, 10)], gap=2), [(1, 6), (9, 10)])
        self.assertEqual(merge([(1, 3), (5, 6)], gap=1), [(1, 3), (5, 6)])

    def test_refuses_empty_and_reversed_intervals(self) -> None:
        for interval in ((3, 3), (4, 2)):
            with self.assertRaises(ValueError):
                merge([interval])

    def test_inserts_an_interval(self) -> None:
        self.assertEqual(insert([(1, 2), (6, 8)], (2, 6)), [(1, 8)])
        self.assertEqual(insert([], (0, 1)), [(0, 1)])
        self.assertEqual(insert([(5, 6)], (1, 2)), [(1, 2), (5, 6)])

    def test_intersects_two_sets(self) -> None:
        self.assertEqual(intersect([(0, 5), (8, 12)], [(3, 9)]), [(3, 5), (8, 9)])
        self.assertEqual(intersect([(0, 10)], [(1, 2), (4, 6), (9, 20)]), [(1, 2), (4, 6), (9, 10)])
        self.assertEqual(intersect([(0, 3)], [(3, 5)]), [])

    def test_intersects_with_nothing_to_nothing(self) -> None:
        self.assertEqual(intersect([], [(1, 2)]), [])
        self.assertEqual(intersect([(1, 2)], []), [])

    def test_subtracts_holes(self) -> None:
        self.assertEqual(subtract([(0, 10)], [(2, 3), (5, 7)]), [(0, 2), (3, 5), (7, 10)])
        self.assertEqual(subtract([(0, 4), (6, 9)], [(3, 7)]), [(0, 3), (7, 9)])

    def test_subtracts_at_the_edges(self) -> None:
        self.assertEqual(subtract([(0, 10)], [(0, 4)]), [(4, 10)])
        self.assertEqual(subtract([(0, 10)], [(6, 10)]), [(0, 6)])
        self.assertEqual(subtract([(0, 10)], [(-5, 20)]), [])
        self.assertEqual(subtract([(5, 7)], [(1, 5), (7, 9)]), [(5, 7)])

    def test_finds_the_free_gaps(self) -> None:
        self.assertEqual(gaps([(2, 4), (4, 6)], 0, 10), [(0, 2), (6, 10)])
        self.assertEqual(gaps([], 3, 5), [(3, 5)])

    def test_counts_covered_integers_once(self) -> None:
        self.assertEqual(total([(0, 3), (2, 5), (10, 11)]), 6)
        self.assertEqual(total([]), 0)

    def test_knows_which_points_are_covered(self) -> None:
        held = [(8, 9), (1, 3), (5, 7)]
        self.assertEqual([point for point in range(12) if covers(held, point)], [1, 2, 5, 6, 8])
        self.assertEqual(covers([], 0), False)

    def test_finds_the_busiest_moment(self) -> None:
        self.assertEqual(busiest([(0, 5), (1, 4), (3, 6), (5, 8)]), 3)
        self.assertEqual(busiest([(0, 2), (2, 4), (4, 6)]), 1)
        self.assertEqual(busiest([]), 0)
