"""Exact fractions in lowest terms."""

from __future__ import annotations


def gcd(a: int, b: int) -> int:
    """The greatest common divisor, never negative."""
    while b:
        a, b = b, a % b
    return abs(a)


class Rational:
    """A fraction; the sign is in the numerator, the denominator is positive."""

    def __init__(self, top: int, bottom: int = 1) -> None:
        if bottom == 0:
            raise ZeroDivisionError("the denominator is zero")
        common = gcd(top, bottom)
        if bottom < 0:
            common = -common
        self.top = top // common
        self.bottom = bottom // common

    @classmethod
    def parse(cls, text: str) -> Rational:
        """Read ``3/4``, ``-2``, ``0.125`` or ``1 1/2``. Raises ``ValueError``."""
        words = text.split()
        if len(words) == 2:
            whole, part = cls.parse(words[0]), cls.parse(words[1])
            return whole - part if words[0].startswith("-") else whole + part
        if len(words) != 1:
            raise ValueError(f"{text!r} is not a fraction")
        if "/" in text:
            top, _, bottom = text.partition("/")
            return cls(int(top), int(bottom))
        whole_text, _, digits = words[0].partition(".")
        return cls(int(whole_text + digits), 10 ** len(digits))

    def __add__(self, other: Rational) -> Rational:
        top = self.top * other.bottom + other.top * self.bottom
        return Rational(top, self.bottom * other.bottom)

    def __sub__(self, other: Rational) -> Rational:
        return self + Rational(-other.top, other.bottom)

    def __mul__(self, other: Rational) -> Rational:
        return Rational(self.top * other.top, self.bottom * other.bottom)

    def __truediv__(self, other: Rational) -> Rational:
        if other.top == 0:
            raise ZeroDivisionError("division by zero")
        return Rational(self.top * other.bottom, self.bottom * other.top)

    def __pow__(self, exponent: int) -> Rational:
        if exponent < 0:
            return Rational(self.bottom, self.top) ** -exponent
        return Rational(self.top**exponent, self.bottom**exponent)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rational):
            return NotImplemented
        return self.top == other.top and self.bottom == other.bottom

    def __hash__(self) -> int:
        return hash((self.top, self.bottom))

    def __lt__(self, other: Rational) -> bool:
        return self.top * other.bottom < other.top * self.bottom

    def __str__(self) -> str:
        return f"{self.top}" if self.bottom == 1 else f"{self.top}/{self.bottom}"

    def floor(self) -> int:
        """The largest integer that is not larger."""
        return self.top // self.bottom

    def ceil(self) -> int:
        """The smallest integer that is not smaller."""
        return -(-self.top // self.bottom)

    def mixed(self) -> str:
        """As a whole number and a proper fraction: ``-1 1/2``."""
        sign = "-" if self.top < 0 else ""
        whole, rest = divmod(abs(self.top), self.bottom)
        if rest == 0:
            return f"{sign}{whole}"
        part = f"{rest}/{self.bottom}"
        return f"{sign}{whole} {part}" if whole else f"{sign}{part}"

    def decimals(self, places: int) -> str:
        """With so many decimals, cut towards zero."""
        sign = "-" if self.top < 0 else ""
        whole, rest = divmod(abs(self.top), self.bottom)
        if places < 1:
            return f"{sign}{whole}"
        digits = rest * 10**places // self.bottom
        return f"{sign}{whole}.{digits:0{places}d}"


def mean(values: list[Rational]) -> Rational:
    """The exact average. Raises ``ValueError`` for none."""
    if not values:
        raise ValueError("no values")
    total = Rational(0)
    for value in values:
        total = total + value
    return total / Rational(len(values))
