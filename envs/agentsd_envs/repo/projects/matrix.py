"""Small matrices of numbers as lists of rows."""

from __future__ import annotations

from typing import Any

Matrix = list[list[Any]]


def shape(matrix: Matrix) -> tuple[int, int]:
    """Rows and columns. Raises ``ValueError`` for rows of different lengths, or none."""
    if not matrix or not matrix[0]:
        raise ValueError("the matrix is empty")
    if any(len(row) != len(matrix[0]) for row in matrix):
        raise ValueError("the rows differ in length")
    return len(matrix), len(matrix[0])


def identity(size: int) -> Matrix:
    """Ones on the diagonal."""
    return [[1 if row == column else 0 for column in range(size)] for row in range(size)]


def transpose(matrix: Matrix) -> Matrix:
    """Rows become columns."""
    rows, columns = shape(matrix)
    return [[matrix[i][j] for i in range(rows)] for j in range(columns)]


def add(left: Matrix, right: Matrix, weight: float = 1) -> Matrix:
    """The sum, the second matrix taken ``weight`` times."""
    if shape(left) != shape(right):
        raise ValueError("the shapes differ")
    return [
        [a + weight * b for a, b in zip(one, other, strict=True)]
        for one, other in zip(left, right, strict=True)
    ]


def multiply(left: Matrix, right: Matrix) -> Matrix:
    """The product of an (n, k) and a (k, m) matrix."""
    rows, inner = shape(left)
    if shape(right)[0] != inner:
        raise ValueError("the inner sizes differ")
    columns = shape(right)[1]
    return [
        [sum(left[i][k] * right[k][j] for k in range(inner)) for j in range(columns)]
        for i in range(rows)
    ]


def power(matrix: Matrix, exponent: int) -> Matrix:
    """The matrix multiplied with itself, by repeated squaring."""
    if exponent < 0:
        raise ValueError("the exponent is negative")
    result = identity(shape(matrix)[0])
    while exponent:
        if exponent % 2 == 1:
            result = multiply(result, matrix)
        matrix = multiply(matrix, matrix)
        exponent //= 2
    return result


def minor(matrix: Matrix, row: int, column: int) -> Matrix:
    """The matrix without one row and one column."""
    return [
        [value for j, value in enumerate(values) if j != column]
        for i, values in enumerate(matrix)
        if i != row
    ]


def determinant(matrix: Matrix) -> float:
    """By expansion along the first row."""
    rows, columns = shape(matrix)
    if rows != columns:
        raise ValueError("the matrix is not square")
    if rows == 1:
        return matrix[0][0]
    total = 0.0
    for column, value in enumerate(matrix[0]):
        sign = -1 if column % 2 else 1
        total += sign * value * determinant(minor(matrix, 0, column))
    return total


def trace(matrix: Matrix) -> float:
    """The sum of the diagonal."""
    rows, columns = shape(matrix)
    return sum(matrix[i][i] for i in range(min(rows, columns)))


def rotate(matrix: Matrix, turns: int = 1) -> Matrix:
    """A quarter turn clockwise, ``turns`` times."""
    for _ in range(turns % 4):
        matrix = [list(row) for row in zip(*matrix[::-1], strict=True)]
    return matrix


def spiral(matrix: Matrix) -> list[float]:
    """The values from the outside in, clockwise from the top left."""
    left = [list(row) for row in matrix]
    values: list[float] = []
    while left:
        values += left.pop(0)
        left = [list(row) for row in zip(*left, strict=True)][::-1]
    return values
