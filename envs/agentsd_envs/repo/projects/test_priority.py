"""What ``priority`` promises."""

import unittest

from agentsd_envs.repo.projects.priority import Queue, merge, smallest


class PriorityTest(unittest.TestCase):
    def test_gives_the_smallest_priority_first(self) -> None:
        queue = Queue([("c", 3), ("a", 1), ("d", 4), ("b", 2)])
        self.assertEqual(queue.drain(), ["a", "b", "c", "d"])

    def test_gives_equal_priorities_in_the_order_they_came(self) -> None:
        queue = Queue([("x", 1), ("y", 1), ("z", 1), ("first", 0)])
        self.assertEqual(queue.drain(), ["first", "x", "y", "z"])

    def test_looks_at_the_next_entry_without_taking_it(self) -> None:
        queue = Queue([("b", 2), ("a", 1)])
        self.assertEqual([queue.peek(), queue.peek(), len(queue)], ["a", "a", 2])

    def test_refuses_to_take_from_an_empty_queue(self) -> None:
        with self.assertRaises(IndexError):
            Queue().pop()
        with self.assertRaises(IndexError):
            Queue().peek()

    def test_takes_entries_one_by_one(self) -> None:
        queue = Queue([("b", 2), ("a", 1)])
        self.assertEqual([queue.pop(), len(queue), queue.pop(), len(queue)], ["a", 1, "b", 0])

    def test_knows_what_waits(self) -> None:
        queue = Queue([("a", 1)])
        self.assertEqual(["a" in queue, "b" in queue], [True, False])
        queue.pop()
        self.assertEqual("a" in queue, False)

    def test_raises_a_waiting_entry(self) -> None:
        queue = Queue([(name, index) for index, name in enumerate("abcdefg")])
        queue.change("f", -1)
        self.assertEqual("".join(str(n) for n in queue.drain()), "fabcdeg")

    def test_lowers_a_waiting_entry(self) -> None:
        queue = Queue([(name, index) for index, name in enumerate("abcdefg")])
        queue.change("a", 4.5)
        self.assertEqual("".join(str(n) for n in queue.drain()), "bcdeafg")

    def test_changes_an_entry_that_is_pushed_again(self) -> None:
        queue = Queue([("a", 1), ("b", 2)])
        queue.push("b", 0)
        self.assertEqual([len(queue), queue.priority("b"), queue.drain()], [2, 0, ["b", "a"]])

    def test_removes_any_entry(self) -> None:
        queue = Queue([(n, n) for n in (5, 1, 8, 2, 9, 3, 7)])
        queue.remove(2)
        queue.remove(9)
        self.assertEqual(queue.drain(), [1, 3, 5, 7, 8])

    def test_keeps_the_order_when_the_last_entry_moves_up(self) -> None:
        queue = Queue([(n, n) for n in (1, 10, 2, 11, 12, 3, 4)])
        queue.remove(11)
        self.assertEqual(queue.drain(), [1, 2, 3, 4, 10, 12])

    def test_refuses_to_remove_what_does_not_wait(self) -> None:
        with self.assertRaises(KeyError):
            Queue().remove("a")

    def test_drains_up_to_a_limit(self) -> None:
        queue = Queue([(n, n) for n in (4, 3, 2, 1)])
        self.assertEqual([queue.drain(2), queue.drain(0), queue.drain(9)], [[1, 2], [], [3, 4]])

    def test_merges_sorted_lists(self) -> None:
        self.assertEqual(merge([1, 4, 7], [2, 5], [], [0, 9]), [0, 1, 2, 4, 5, 7, 9])
        self.assertEqual(merge(), [])

    def test_finds_the_smallest_values(self) -> None:
        self.assertEqual(smallest([5, 1, 4, 1, 3], 3), [1, 1, 3])
        self.assertEqual(smallest([2, 1], 5), [1, 2])
