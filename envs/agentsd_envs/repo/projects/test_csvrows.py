"""What ``csvrows`` promises."""

import unittest

from agentsd_envs.repo.projects.csvrows import (
    column,
    guess_separator,
    parse,
    quote,
    records,
    render,
)


class CsvRowsTest(unittest.TestCase):
    def test_splits_rows_and_cells(self) -> None:
        self.assertEqual(parse("a,b\nc,d\n"), [["a", "b"], ["c", "d"]])
        self.assertEqual(parse("a,b"), [["a", "b"]])

    def test_keeps_empty_cells(self) -> None:
        self.assertEqual(parse("a,,c\n,\n"), [["a", "", "c"], ["", ""]])
        self.assertEqual(parse("a,"), [["a", ""]])
        self.assertEqual(parse('""'), [[""]])
        self.assertEqual(parse(""), [])

    def test_reads_quoted_cells(self) -> None:
        self.assertEqual(parse('"a,b",c\n'), [["a,b", "c"]])
        self.assertEqual(parse('"two\nlines",x'), [["two\nlines", "x"]])

    def test_reads_doubled_quotes(self) -> None:
        self.assertEqual(parse('"say ""hi""",1'), [['say "hi"', "1"]])
        self.assertEqual(parse('""""'), [['"']])

    def test_takes_quotes_inside_a_plain_cell_as_they_are(self) -> None:
        self.assertEqual(parse('a"b,c'), [['a"b', "c"]])

    def test_refuses_quotes_that_are_not_closed(self) -> None:
        with self.assertRaises(ValueError):
            parse('"a,b')

    def test_refuses_text_after_a_closing_quote(self) -> None:
        with self.assertRaises(ValueError):
            parse('"a"b,c')
        self.assertEqual(parse('"a",b'), [["a", "b"]])

    def test_splits_at_another_separator(self) -> None:
        self.assertEqual(parse("a;b,c;d", ";"), [["a", "b,c", "d"]])

    def test_quotes_only_what_needs_it(self) -> None:
        cells = ["plain", "a,b", 'x"y', "n\nm", "a;b"]
        self.assertEqual([quote(c) for c in cells], ["plain", '"a,b"', '"x""y"', '"n\nm"', "a;b"])
        self.assertEqual(quote("a;b", ";"), '"a;b"')

    def test_writes_rows(self) -> None:
        self.assertEqual(render([["a", "b,c"], ["", "d"]]), 'a,"b,c"\n,d\n')
        self.assertEqual(render([["a", "b;"]], ";"), 'a;"b;"\n')
        self.assertEqual(render([]), "")

    def test_names_the_cells_of_a_row(self) -> None:
        self.assertEqual(
            records("id,name\n1,Ann\n2\n"), [{"id": "1", "name": "Ann"}, {"id": "2", "name": ""}]
        )
        self.assertEqual([records(""), records("a,b\n")], [[], []])

    def test_refuses_rows_that_are_too_long(self) -> None:
        with self.assertRaises(ValueError):
            records("a,b\n1,2,3\n")

    def test_refuses_equal_column_names(self) -> None:
        with self.assertRaises(ValueError):
            records("a,b,a\n1,2,3\n")

    def test_reads_a_column_of_numbers(self) -> None:
        self.assertEqual(column("n,x\na,1\nb,\nc, 2.5 \n", "x"), [1.0, 0.0, 2.5])
        self.assertEqual(column("x\n\n4\n", "x", default=-1.0), [-1.0, 4.0])
        with self.assertRaises(KeyError):
            column("a\n1\n", "b")

    def test_guesses_the_separator(self) -> None:
        self.assertEqual(guess_separator("a;b;c,d\n,,,,,"), ";")
        self.assertEqual([guess_separator("a|b"), guess_separator("ab")], ["|", ","])
        self.assertEqual(guess_separator("a,b;c"), ",")
