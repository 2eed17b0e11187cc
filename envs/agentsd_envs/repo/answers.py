"""Split tests into questions, which go into the box, and answers, which never do.

``self.assertEqual(EXPRESSION, LITERAL)`` becomes the question EXPRESSION; the literal stays here.
Code under test that prints what it likes, leaves early, or patches ``unittest`` gains nothing: to
pass, it has to come up with values that are nowhere in its box. Knows nothing of boxes.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

MAX_DEPTH = 30
"""Of nested containers in an answer."""


@dataclass(frozen=True, slots=True)
class Raises:
    """The answer to ``assertRaises``: an exception of this class, or of one derived from it."""

    name: str


@dataclass(frozen=True, slots=True)
class Quiz:
    """The tests of one file, split."""

    source: str
    """A module of functions, one a test; each is given the function that takes its answers."""
    expected: dict[str, tuple[Any, ...]]
    """Test to the values it must answer, in order; ``Raises`` for exceptions."""
    lines: dict[str, tuple[int, int]]
    """Test to its first and last line in the file, both counted from 1."""
    prefix: str
    """``module.Class`` as ``unittest`` names it, without the module."""


@cache
def quiz(tests: str) -> Quiz:
    """Split the text of a test file.

    Raises ``ValueError`` for a test that does not compare with literals, or that asserts in a loop
    whose length is not written out: its answers could not be kept out of the box.
    """
    tree = ast.parse(tests)
    case = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    methods = [node for node in case.body if isinstance(node, ast.FunctionDef)]
    expected, functions = {}, []
    for method in methods:
        splitter = _Splitter(method.name)
        body = splitter.block(method.body)
        expected[method.name] = tuple(splitter.expected)
        functions.append(_function(method.name, body))
    others = [node for node in tree.body if node is not case and not _is_unittest(node)]
    module = ast.fix_missing_locations(ast.Module([*others, *functions], []))
    lines = {method.name: (method.lineno, method.end_lineno or 0) for method in methods}
    return Quiz(ast.unparse(module), expected, lines, case.name)


def is_right(expected: Sequence[Any], answers: object) -> bool:
    """Whether the answers that came out of a box, which may be anything, are the expected ones."""
    if not isinstance(answers, list) or len(answers) != len(expected):
        return False
    return all(_is_match(want, got) for want, got in zip(expected, answers, strict=True))


def read_answers(line: bytes) -> dict[str, Any]:
    """One line of the box's report; empty when it is not one."""
    try:
        report = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}


def _is_match(want: object, got: object) -> bool:
    if isinstance(want, Raises):
        names = got.get("raises") if isinstance(got, dict) else None
        return isinstance(names, list) and want.name in names
    try:
        return _decoded(got, MAX_DEPTH) == want
    except (ValueError, TypeError):
        return False


def _decoded(value: object, depth: int) -> object:
    """The plain value that the box described. Raises ``ValueError`` for none."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if not isinstance(value, dict) or len(value) != 1 or depth == 0:
        raise ValueError("not an answer")
    kind, parts = next(iter(value.items()))
    if not isinstance(parts, list):
        raise ValueError("not an answer")
    if kind == "dict":
        return {_decoded(key, depth - 1): _decoded(each, depth - 1) for key, each in parts}
    made = {"list": list, "tuple": tuple, "set": set}.get(kind)
    if made is None:
        raise ValueError("not an answer")
    return made(_decoded(each, depth - 1) for each in parts)


class _Splitter:
    """Turns the statements of one test into questions and collects what they must give."""

    def __init__(self, test: str) -> None:
        self.test = test
        self.expected: list[Any] = []

    def block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        return [self.statement(each) for each in statements]

    def statement(self, node: ast.stmt) -> ast.stmt:
        if isinstance(node, ast.For):
            return self.loop(node)
        if isinstance(node, ast.With) and self._assertion(node.items[0].context_expr):
            return self.raises(node)
        if isinstance(node, ast.Expr) and (name := self._assertion(node.value)):
            assert isinstance(node.value, ast.Call)
            return self.equal(name, node.value)
        if any(self._assertion(inner) for inner in ast.walk(node)):
            raise ValueError(f"{self.test}: an assertion stands where it cannot be split")
        return node

    def equal(self, name: str, call: ast.Call) -> ast.stmt:
        if name != "assertEqual":
            raise ValueError(f"{self.test}: {name} cannot be split; use assertEqual")
        question, answer = call.args
        try:
            self.expected.append(ast.literal_eval(answer))
        except ValueError as error:
            raise ValueError(f"{self.test}: {ast.unparse(answer)} is no literal") from error
        return ast.Expr(ast.Call(ast.Name("_answer", ast.Load()), [question], []))

    def raises(self, node: ast.With) -> ast.stmt:
        call = node.items[0].context_expr
        assert isinstance(call, ast.Call)
        self.expected.append(Raises(ast.unparse(call.args[0])))
        caught = ast.Name("_raised", ast.Load())
        tell = ast.Expr(ast.Call(caught, [ast.Name("_error", ast.Load())], []))
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), "_error", [tell])
        nothing = ast.Expr(ast.Call(caught, [ast.Constant(None)], []))
        return ast.Try(node.body, [handler], [nothing], [])

    def loop(self, node: ast.For) -> ast.stmt:
        """A loop over values that are written out asks its questions once for each."""
        before = len(self.expected)
        body = self.block(node.body)
        asked = self.expected[before:]
        if asked:
            if not isinstance(node.iter, ast.Tuple | ast.List) or not node.iter.elts:
                raise ValueError(f"{self.test}: a loop that asserts needs its values written out")
            self.expected += asked * (len(node.iter.elts) - 1)
        return ast.For(node.target, node.iter, body, [])

    def _assertion(self, node: ast.AST) -> str:
        """The name of the assertion that is called, or nothing."""
        function = node.func if isinstance(node, ast.Call) else None
        name = function.attr if isinstance(function, ast.Attribute) else ""
        return name if name.startswith("assert") or name == "fail" else ""


def _function(name: str, body: list[ast.stmt]) -> ast.FunctionDef:
    arguments = ast.arguments([], [ast.arg("_answer"), ast.arg("_raised")], None, [], [], None, [])
    return ast.FunctionDef(name, arguments, body, [])


def _is_unittest(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import) and node.names[0].name == "unittest"
