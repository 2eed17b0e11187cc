"""Find the small mistakes that a piece of Python could have had: one edit of its text each.

The text around an edit stays as it was written. Knows nothing of tests, nor of which mutations
anybody would notice; ``vetting`` does.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agentsd_envs.repo.offsets import Text

COMPARE = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
ARITHMETIC = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "//",
}
NOT_COMMUTATIVE = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod)
NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "rjust": "ljust",
    "ljust": "rjust",
    "lower": "upper",
    "upper": "lower",
    "startswith": "endswith",
    "find": "rfind",
    "append": "extend",
}
"""Functions and methods that are easily confused."""

Finder = Callable[[ast.AST, "Text"], Iterator[tuple[str, ast.AST, str]]]
"""Yields the operator's name, the node whose text goes, and the text that comes instead."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mistake: ``old``, which stands at ``start`` in the original text, becomes ``new``."""

    operator: str
    function: str
    """Qualified name of the function or method."""
    start: int
    old: str
    new: str

    def apply(self, text: str) -> str:
        """The text with the mistake. Raises ``ValueError`` where ``old`` does not stand."""
        stop = self.start + len(self.old)
        if text[self.start : stop] != self.old:
            raise ValueError(f"{self.old!r} does not stand at {self.start}")
        return text[: self.start] + self.new + text[stop:]


def mutations(text: str) -> list[Mutation]:
    """Every mutation of a module's functions, each making another text that compiles."""
    tree, source = ast.parse(text), Text(text)
    found: dict[str, Mutation] = {}
    for function, node in _nodes(tree, ""):
        if not function:
            continue
        for finder in FINDERS:
            for operator, target, new in finder(node, source):
                start, _ = source.span(target)
                mutation = Mutation(operator, function, start, source.of(target), new)
                mutated = mutation.apply(text)
                if mutated != text and mutated not in found and _compiles(mutated):
                    found[mutated] = mutation
    return sorted(found.values(), key=lambda each: (each.start, each.operator, each.new))


def _nodes(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    """Every node under its function; annotations and docstrings are left out."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _is_text(child):
                continue
            name = getattr(child, "name", None)
            is_named = isinstance(child, ast.FunctionDef | ast.ClassDef)
            inside = f"{function}.{name}".lstrip(".") if is_named else function
            yield inside, child
            yield from _nodes(child, inside)


def _is_text(node: ast.AST) -> bool:
    """A docstring, or an f-string, inside which older Pythons do not know offsets."""
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_docstring or isinstance(node, ast.JoinedStr)


def _compiles(text: str) -> bool:
    try:
        compile(text, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


# --- operators -----------------------------------------------------------------------------------


def flipped_comparison(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """``<`` for ``<=``, ``!=`` for ``==``, ``not in`` for ``in``."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        operator = COMPARE.get(type(node.ops[0]))
        if operator:
            new = f"{text.of(node.left)} {operator} {text.of(node.comparators[0])}"
            yield "flipped comparison", node, new
    elif isinstance(node, ast.Compare):
        yield from _flipped_chain(node, text)


def _flipped_chain(node: ast.Compare, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    operands = [text.of(node.left), *(text.of(each) for each in node.comparators)]
    for at in range(len(node.ops)):
        words = [operands[0]]
        for index, operand in enumerate(operands[1:]):
            words.append(COMPARE[type(node.ops[index])] if index == at else "")
            words.append(operand)
            if index != at:
                words[-2] = _sign(node, text, index)
        yield "flipped comparison", node, " ".join(words)


def _sign(node: ast.Compare, text: Text, index: int) -> str:
    """An operator of a chain as it is written."""
    left = node.left if index == 0 else node.comparators[index - 1]
    between = text.text[text.span(left)[1] : text.span(node.comparators[index])[0]]
    return between.strip()


def off_by_one(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """An integer that is one too large or too small."""
    if isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) < 1000:
        yield "off by one", node, str(node.value + 1)
        if node.value > 0:
            yield "off by one", node, str(node.value - 1)


def swapped_operands(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """``b - a`` for ``a - b``."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, NOT_COMMUTATIVE):
        if isinstance(node.left, ast.BinOp | ast.UnaryOp) or isinstance(node.right, ast.BinOp):
            return
        left, right = text.of(node.left), text.of(node.right)
        sign = text.text[text.span(node.left)[1] : text.span(node.right)[0]]
        yield "swapped operands", node, f"{right}{sign}{left}"


def wrong_arithmetic(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """``-`` for ``+``, also in ``+=``."""
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        left, right = text.of(node.left), text.of(node.right)
        between = text.text[text.span(node.left)[1] : text.span(node.right)[0]]
        if "(" not in between and ")" not in between and "\n" not in between:
            yield "wrong arithmetic", node, f"{left} {ARITHMETIC[type(node.op)]} {right}"
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub):
        sign = "-=" if isinstance(node.op, ast.Add) else "+="
        yield "wrong arithmetic", node, f"{text.of(node.target)} {sign} {text.of(node.value)}"


def wrong_logic(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """``or`` for ``and``."""
    if isinstance(node, ast.BoolOp) and len(node.values) == 2:
        word = "or" if isinstance(node.op, ast.And) else "and"
        left, right = (text.of(each) for each in node.values)
        yield "wrong logic", node, f"{left} {word} {right}"


def dropped_condition(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """One half of an ``and`` or ``or``."""
    if isinstance(node, ast.BoolOp):
        for index in range(len(node.values)):
            rest = [text.of(each) for at, each in enumerate(node.values) if at != index]
            word = " and " if isinstance(node.op, ast.And) else " or "
            yield "dropped condition", node, word.join(rest)


def negated_condition(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """``if not ready`` for ``if ready``; comparisons are flipped instead."""
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        test = node.test
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            yield "negated condition", test, text.of(test.operand)
        elif isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.Subscript):
            yield "negated condition", test, f"not {text.of(test)}"


def removed_guard(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """An ``if`` that only raises, returns or goes on, gone."""
    if not isinstance(node, ast.If) or len(node.body) != 1 or node.orelse:
        return
    if isinstance(node.body[0], ast.Raise | ast.Return | ast.Continue | ast.Break):
        yield "removed guard", node, "pass"


def dropped_else(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """What happens otherwise does not."""
    if not isinstance(node, ast.If) or len(node.orelse) != 1:
        return
    if not isinstance(node.orelse[0], ast.If):
        yield "dropped else", node.orelse[0], "pass"


def dropped_return(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """A value that is computed and not returned."""
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Call | ast.BinOp):
        yield "dropped return", node, text.of(node.value)


def dropped_statement(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """A step that was forgotten."""
    is_step = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    if is_step or isinstance(node, ast.AugAssign | ast.Delete):
        yield "dropped statement", node, "pass"


def wrong_name(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """``max`` for ``min``, ``endswith`` for ``startswith``."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in NAMES:
            yield "wrong function", node.func, NAMES[node.func.id]
        elif isinstance(node.func, ast.Attribute) and node.func.attr in NAMES:
            owner = text.of(node.func.value)
            yield "wrong function", node.func, f"{owner}.{NAMES[node.func.attr]}"


def wrong_variable(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """Another argument of the same function."""
    if not isinstance(node, ast.FunctionDef):
        return
    names = [argument.arg for argument in node.args.args if argument.arg not in ("self", "cls")]
    for _, inner in _nodes(node, ""):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load) and inner.id in names:
            other = names[(names.index(inner.id) + 1) % len(names)]
            if other != inner.id:
                yield "wrong variable", inner, other


def wrong_default(node: ast.AST, text: Text) -> Iterator[tuple[str, ast.AST, str]]:
    """A flag that is the other way round, or a text that is empty."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "wrong flag", node, str(not node.value)
    elif isinstance(node, ast.arguments):
        for default in node.defaults:
            if isinstance(default, ast.Constant) and default.value and type(default.value) is str:
                yield "wrong default", default, '""'


FINDERS: tuple[Finder, ...] = (
    flipped_comparison,
    off_by_one,
    swapped_operands,
    wrong_arithmetic,
    wrong_logic,
    dropped_condition,
    negated_condition,
    removed_guard,
    dropped_else,
    dropped_return,
    dropped_statement,
    wrong_name,
    wrong_variable,
    wrong_default,
)
