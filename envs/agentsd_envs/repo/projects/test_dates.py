"""What ``dates`` promises."""

import unittest

from agentsd_envs.repo.projects.dates import (
    add_days,
    add_months,
    age,
    day_of_year,
    days_between,
    is_leap,
    month_days,
    ordinal,
    parse,
    weekday,
    workdays,
)


class DatesTest(unittest.TestCase):
    def test_knows_leap_years(self) -> None:
        years = [1600, 1700, 1900, 1999, 2000, 2004, 2023, 2024, 2100]
        self.assertEqual([year for year in years if is_leap(year)], [1600, 2000, 2004, 2024])

    def test_knows_the_length_of_months(self) -> None:
        self.assertEqual([month_days(2023, m) for m in (1, 2, 4, 9, 12)], [31, 28, 30, 30, 31])
        self.assertEqual([month_days(2024, 2), month_days(2024, 3)], [29, 31])

    def test_refuses_months_that_do_not_exist(self) -> None:
        for month in (0, 13, -1):
            with self.assertRaises(ValueError):
                month_days(2024, month)

    def test_reads_dates(self) -> None:
        self.assertEqual(parse("2024-02-29"), (2024, 2, 29))
        self.assertEqual(parse("0999-12-01"), (999, 12, 1))

    def test_refuses_malformed_dates(self) -> None:
        for text in ("24-02-29", "2024-2-29", "2024-02", "2024-02-01-01", "", "2024/02/01"):
            with self.assertRaises(ValueError):
                parse(text)

    def test_refuses_days_that_do_not_exist(self) -> None:
        for text in ("2023-02-29", "2024-04-31", "2024-01-00", "2024-13-01", "2024-12-32"):
            with self.assertRaises(ValueError):
                parse(text)

    def test_counts_the_days_of_a_year(self) -> None:
        self.assertEqual(day_of_year((2024, 1, 1)), 1)
        self.assertEqual([day_of_year((2023, 12, 31)), day_of_year((2024, 12, 31))], [365, 366])
        self.assertEqual(day_of_year((2024, 3, 1)), 61)

    def test_numbers_days_through_the_centuries(self) -> None:
        self.assertEqual(
            [ordinal((1, 1, 1)), ordinal((1, 12, 31)), ordinal((2, 1, 1))], [1, 365, 366]
        )
        self.assertEqual([ordinal((2000, 1, 1)), ordinal((2024, 7, 4))], [730120, 739071])

    def test_counts_days_between_dates(self) -> None:
        self.assertEqual(days_between((2024, 2, 28), (2024, 3, 1)), 2)
        self.assertEqual(days_between((2024, 1, 1), (2023, 1, 1)), -365)

    def test_adds_days_across_months_and_years(self) -> None:
        self.assertEqual(add_days((2024, 2, 28), 1), (2024, 2, 29))
        self.assertEqual(add_days((2023, 12, 30), 5), (2024, 1, 4))
        self.assertEqual(add_days((2024, 1, 31), 0), (2024, 1, 31))
        self.assertEqual(add_days((2023, 1, 1), 365), (2024, 1, 1))

    def test_takes_days_away(self) -> None:
        self.assertEqual(add_days((2024, 3, 1), -1), (2024, 2, 29))
        self.assertEqual(add_days((2024, 1, 1), -1), (2023, 12, 31))
        self.assertEqual(add_days((2024, 3, 15), -60), (2024, 1, 15))

    def test_adds_months_and_keeps_to_the_end_of_the_month(self) -> None:
        self.assertEqual(add_months((2024, 1, 31), 1), (2024, 2, 29))
        self.assertEqual(add_months((2024, 11, 15), 2), (2025, 1, 15))
        self.assertEqual(add_months((2024, 12, 31), -1), (2024, 11, 30))
        self.assertEqual(add_months((2024, 3, 5), -15), (2022, 12, 5))

    def test_knows_the_day_of_the_week(self) -> None:
        self.assertEqual([weekday((2000, 1, 1)), weekday((2024, 7, 4))], ["sat", "thu"])
        self.assertEqual([weekday((2024, 7, d)) for d in (7, 8)], ["sun", "mon"])

    def test_counts_workdays(self) -> None:
        self.assertEqual(workdays((2024, 7, 1), (2024, 7, 8)), 5)
        self.assertEqual(workdays((2024, 7, 5), (2024, 7, 9)), 2)
        self.assertEqual(workdays((2024, 7, 6), (2024, 7, 6)), 0)

    def test_knows_ages(self) -> None:
        self.assertEqual(age((1990, 5, 20), (2024, 5, 19)), 33)
        self.assertEqual(age((1990, 5, 20), (2024, 5, 20)), 34)
        self.assertEqual(age((1990, 5, 20), (2024, 6, 1)), 34)
