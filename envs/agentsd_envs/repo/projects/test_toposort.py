"""What ``toposort`` promises."""

import unittest

from agentsd_envs.repo.projects.toposort import (
    CycleError,
    all_jobs,
    critical_path,
    find_cycle,
    finish_times,
    needed_by,
    order,
    stages,
)


class TopoSortTest(unittest.TestCase):
    def test_knows_all_jobs(self) -> None:
        self.assertEqual(all_jobs({"b": ["c", "a"], "d": []}), ["a", "b", "c", "d"])
        self.assertEqual(all_jobs({}), [])

    def test_orders_jobs_after_what_they_need(self) -> None:
        needs = {"app": ["lib", "cfg"], "lib": ["base"], "cfg": ["base"]}
        self.assertEqual(order(needs), ["base", "cfg", "lib", "app"])
        self.assertEqual(order({"a": ["b"], "b": ["c"]}), ["c", "b", "a"])

    def test_orders_only_what_the_goals_need(self) -> None:
        needs = {"a": ["b"], "c": ["d"], "e": []}
        self.assertEqual(order(needs, ["c"]), ["d", "c"])
        self.assertEqual(order(needs, ["c", "b", "c"]), ["d", "c", "b"])
        self.assertEqual(order(needs, []), [])

    def test_refuses_to_order_a_cycle(self) -> None:
        with self.assertRaises(CycleError):
            order({"a": ["b"], "b": ["c"], "c": ["a"]})
        with self.assertRaises(CycleError):
            order({"a": ["a"]})

    def test_groups_jobs_that_can_run_at_once(self) -> None:
        needs = {"d": ["b", "c"], "b": ["a"], "c": ["a"], "x": []}
        self.assertEqual(stages(needs), [["a", "x"], ["b", "c"], ["d"]])
        self.assertEqual(stages({}), [])

    def test_groups_a_job_after_the_last_of_its_needs(self) -> None:
        needs = {"c": ["a", "b"], "b": ["a"]}
        self.assertEqual(stages(needs), [["a"], ["b"], ["c"]])

    def test_refuses_to_group_a_cycle(self) -> None:
        with self.assertRaises(CycleError):
            stages({"a": ["b"], "b": ["a"], "c": []})

    def test_finds_a_cycle_from_its_smallest_job(self) -> None:
        self.assertEqual(
            find_cycle({"z": ["c"], "c": ["b"], "b": ["d"], "d": ["c"]}), ["b", "d", "c"]
        )
        self.assertEqual(find_cycle({"s": ["s"]}), ["s"])

    def test_finds_no_cycle_where_there_is_none(self) -> None:
        self.assertEqual(find_cycle({"a": ["b", "c"], "b": ["c"], "c": []}), [])

    def test_computes_when_jobs_end(self) -> None:
        needs = {"c": ["a", "b"], "d": ["c"]}
        self.assertEqual(
            finish_times(needs, {"a": 3, "b": 5, "c": 2}), {"a": 3, "b": 5, "c": 7, "d": 8}
        )

    def test_takes_a_default_for_unknown_times(self) -> None:
        self.assertEqual(finish_times({"b": ["a"]}, {}, default=4), {"a": 4, "b": 8})
        self.assertEqual(finish_times({"b": ["a"]}, {"a": 2}), {"a": 2, "b": 3})

    def test_finds_the_critical_path(self) -> None:
        needs = {"c": ["a", "b"], "d": ["c"], "e": ["a"]}
        self.assertEqual(critical_path(needs, {"a": 1, "b": 4, "d": 2}), ["b", "c", "d"])
        self.assertEqual(critical_path(needs, {"a": 1, "e": 50}), ["a", "e"])
        self.assertEqual(critical_path({}, {}), [])

    def test_knows_what_a_change_affects(self) -> None:
        needs = {"app": ["lib"], "lib": ["base"], "docs": ["lib"], "other": ["x"]}
        self.assertEqual(needed_by(needs, "base"), ["app", "docs", "lib"])
        self.assertEqual([needed_by(needs, "app"), needed_by(needs, "x")], [[], ["other"]])
