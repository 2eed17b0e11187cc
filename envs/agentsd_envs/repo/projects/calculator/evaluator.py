"""Evaluate formulas by recursive descent. Names are looked up in, and assigned to, a dict."""

from __future__ import annotations

from agentsd_envs.repo.projects.calculator.tokens import FormulaError, tokenize

FUNCTIONS = {"min": min, "max": max, "abs": abs, "round": round}


def evaluate(text: str, names: dict[str, float] | None = None) -> float:
    """The value of a formula; ``name = formula`` also assigns it. Raises ``FormulaError``."""
    names = {} if names is None else names
    tokens = tokenize(text)
    if not tokens:
        raise FormulaError("the formula is empty")
    if len(tokens) > 2 and tokens[0][0] == "name" and tokens[1] == ("symbol", "="):
        names[tokens[0][1]] = value = _Parser(tokens[2:], names).whole()
        return value
    return _Parser(tokens, names).whole()


class _Parser:
    """One formula: each method reads what binds tighter than the one before."""

    def __init__(self, tokens: list[tuple[str, str]], names: dict[str, float]) -> None:
        self.tokens = tokens
        self.names = names
        self.at = 0

    def whole(self) -> float:
        value = self.sum()
        if self.at < len(self.tokens):
            raise FormulaError(f"unexpected {self.tokens[self.at][1]!r}")
        return value

    def accept(self, symbols: str) -> str:
        """Take the next token if it is one of the symbols; else the empty string."""
        if self.at < len(self.tokens):
            kind, text = self.tokens[self.at]
            if kind == "symbol" and text in symbols:
                self.at += 1
                return text
        return ""

    def sum(self) -> float:
        value = self.product()
        while symbol := self.accept("+-"):
            right = self.product()
            value = value + right if symbol == "+" else value - right
        return value

    def product(self) -> float:
        value = self.signed()
        while symbol := self.accept("*/%"):
            right = self.signed()
            if symbol != "*" and right == 0:
                raise FormulaError("division by zero")
            if symbol == "*":
                value = value * right
            else:
                value = value / right if symbol == "/" else value % right
        return value

    def signed(self) -> float:
        """A sign binds weaker than a power: -2^2 is -4."""
        if self.accept("-"):
            return -self.signed()
        return self.power()

    def power(self) -> float:
        """Powers group to the right: 2^3^2 is 2^9."""
        base = self.atom()
        return base ** self.signed() if self.accept("^") else base

    def atom(self) -> float:
        if self.accept("("):
            value = self.sum()
            self.expect(")")
            return value
        if self.at >= len(self.tokens):
            raise FormulaError("the formula ends early")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "name" and self.accept("("):
            return self.call(text)
        if kind == "name" and text in self.names:
            return self.names[text]
        raise FormulaError(f"unknown or misplaced {text!r}")

    def call(self, name: str) -> float:
        if name not in FUNCTIONS:
            raise FormulaError(f"unknown function {name!r}")
        arguments = [self.sum()]
        while self.accept(","):
            arguments.append(self.sum())
        self.expect(")")
        return FUNCTIONS[name](*arguments)

    def expect(self, symbol: str) -> None:
        if not self.accept(symbol):
            raise FormulaError(f"expected {symbol!r}")
