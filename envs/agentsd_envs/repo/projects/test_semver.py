"""What ``semver`` promises."""

import unittest

from agentsd_envs.repo.projects.semver import bump, compare, newest, parse, satisfies

OLD_TO_NEW = [
    "1.9.9",
    "2.0.0-1",
    "2.0.0-rc",
    "2.0.0-rc.2",
    "2.0.0-rc.10",
    "2.0.0",
    "2.0.1",
    "2.1.0",
]


class SemverTest(unittest.TestCase):
    def test_reads_versions(self) -> None:
        self.assertEqual(parse("1.20.3"), (1, 20, 3, ()))
        self.assertEqual(parse("0.0.1-rc.1"), (0, 0, 1, ("rc", "1")))
        self.assertEqual(parse("1.0.0-a-b"), (1, 0, 0, ("a-b",)))

    def test_refuses_malformed_versions(self) -> None:
        for text in ("1.2", "1.2.3.4", "a.b.c", "", "1..2", "1.2.3-", "1.2.3-a..b"):
            with self.assertRaises(ValueError):
                parse(text)

    def test_refuses_leading_zeros(self) -> None:
        for text in ("01.2.3", "1.02.3", "1.2.03"):
            with self.assertRaises(ValueError):
                parse(text)
        self.assertEqual(parse("0.0.0"), (0, 0, 0, ()))

    def test_compares_numbers_as_numbers(self) -> None:
        self.assertEqual([compare("1.10.0", "1.9.0"), compare("1.2.3", "1.2.3")], [1, 0])
        self.assertEqual([compare("1.2.3", "2.0.0"), compare("0.0.2", "0.0.10")], [-1, -1])

    def test_takes_a_pre_release_for_older_than_its_release(self) -> None:
        self.assertEqual([compare("1.0.0-rc", "1.0.0"), compare("1.0.0", "1.0.0-rc")], [-1, 1])
        self.assertEqual(compare("1.0.0-rc", "0.9.9"), 1)

    def test_compares_labels_of_pre_releases(self) -> None:
        pairs = [("a", "b"), ("2", "10"), ("1", "a"), ("a.1", "a"), ("a", "a.1"), ("a.b", "a.b")]
        found = [compare(f"1.0.0-{one}", f"1.0.0-{other}") for one, other in pairs]
        self.assertEqual(found, [-1, -1, -1, 1, -1, 0])

    def test_orders_a_whole_list(self) -> None:
        pairs = zip(OLD_TO_NEW, OLD_TO_NEW[1:])  # noqa: B905, RUF007
        self.assertEqual([compare(old, new) for old, new in pairs], [-1, -1, -1, -1, -1, -1, -1])

    def test_bumps_each_part(self) -> None:
        found = [bump("1.2.3", "major"), bump("1.2.3", "minor"), bump("1.2.3")]
        self.assertEqual(found, ["2.0.0", "1.3.0", "1.2.4"])
        with self.assertRaises(ValueError):
            bump("1.2.3", "micro")

    def test_turns_a_pre_release_into_its_release(self) -> None:
        self.assertEqual([bump("1.2.3-rc.1"), bump("1.2.3-rc.1", "minor")], ["1.2.3", "1.3.0"])

    def test_compares_with_operators(self) -> None:
        clauses = [">=1.2", ">1.2.0", "<2", "<=1.2.0", "=1.2", "<1.2", "=1.3"]
        found = [clause for clause in clauses if satisfies("1.2.0", clause)]
        self.assertEqual(found, [">=1.2", "<2", "<=1.2.0", "=1.2"])

    def test_keeps_the_first_number_with_a_caret(self) -> None:
        versions = ["1.1.9", "1.2.0", "1.9.0", "2.0.0"]
        self.assertEqual([v for v in versions if satisfies(v, "^1.2")], ["1.2.0", "1.9.0"])
        zeros = ["0.2.3", "0.2.9", "0.3.0", "0.0.3", "0.0.4"]
        self.assertEqual([v for v in zeros if satisfies(v, "^0.2.3")], ["0.2.3", "0.2.9"])
        self.assertEqual([v for v in zeros if satisfies(v, "^0.0.3")], ["0.0.3"])

    def test_keeps_the_second_number_with_a_tilde(self) -> None:
        versions = ["1.2.2", "1.2.3", "1.2.9", "1.3.0"]
        self.assertEqual([v for v in versions if satisfies(v, "~1.2.3")], ["1.2.3", "1.2.9"])

    def test_matches_wildcards(self) -> None:
        versions = ["1.0.0", "1.5.2", "11.0.0", "2.1.0"]
        self.assertEqual([v for v in versions if satisfies(v, "1.x")], ["1.0.0", "1.5.2"])
        self.assertEqual([v for v in versions if satisfies(v, "2")], ["2.1.0"])
        self.assertEqual(len([v for v in versions if satisfies(v, "*")]), 4)

    def test_combines_clauses_with_and_and_or(self) -> None:
        versions = ["0.9.0", "1.5.0", "2.5.0", "3.0.0"]
        self.assertEqual([v for v in versions if satisfies(v, ">=1 <2 || >=3")], ["1.5.0", "3.0.0"])

    def test_finds_the_newest_version(self) -> None:
        versions = ["1.2.0", "1.10.0", "1.9.0", "2.0.0"]
        self.assertEqual([newest(versions), newest(versions, "^1.2")], ["2.0.0", "1.10.0"])
        self.assertEqual([newest(versions, "<1"), newest([])], [None, None])
