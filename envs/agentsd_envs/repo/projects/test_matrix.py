"""What ``matrix`` promises."""

import unittest

from agentsd_envs.repo.projects.matrix import (
    add,
    determinant,
    identity,
    minor,
    multiply,
    power,
    rotate,
    shape,
    spiral,
    trace,
    transpose,
)


class MatrixTest(unittest.TestCase):
    def test_knows_the_shape(self) -> None:
        self.assertEqual(shape([[1, 2, 3], [4, 5, 6]]), (2, 3))
        self.assertEqual(shape([[1]]), (1, 1))

    def test_refuses_ragged_and_empty_matrices(self) -> None:
        for matrix in ([], [[]], [[1], [1, 2]], [[1, 2], [1, 2], [1]]):
            with self.assertRaises(ValueError):
                shape(matrix)

    def test_makes_the_identity(self) -> None:
        self.assertEqual(identity(3), [[1, 0, 0], [0, 1, 0], [0, 0, 1]])

    def test_transposes(self) -> None:
        self.assertEqual(transpose([[1, 2, 3], [4, 5, 6]]), [[1, 4], [2, 5], [3, 6]])

    def test_adds_with_a_weight(self) -> None:
        self.assertEqual(add([[1, 2], [3, 4]], [[10, 20], [30, 40]]), [[11, 22], [33, 44]])
        self.assertEqual(add([[5, 5]], [[1, 2]], weight=-2), [[3, 1]])

    def test_refuses_to_add_different_shapes(self) -> None:
        with self.assertRaises(ValueError):
            add([[1, 2]], [[1], [2]])

    def test_multiplies(self) -> None:
        self.assertEqual(multiply([[1, 2], [3, 4]], [[5, 6], [7, 8]]), [[19, 22], [43, 50]])
        self.assertEqual(multiply([[1, 2, 3]], [[4], [5], [6]]), [[32]])
        self.assertEqual(multiply([[1], [2]], [[3, 4, 5]]), [[3, 4, 5], [6, 8, 10]])

    def test_refuses_to_multiply_what_does_not_fit(self) -> None:
        with self.assertRaises(ValueError):
            multiply([[1, 2]], [[1, 2]])

    def test_raises_to_a_power(self) -> None:
        self.assertEqual(power([[1, 1], [1, 0]], 10), [[89, 55], [55, 34]])
        self.assertEqual(power([[2]], 3), [[8]])
        self.assertEqual(power([[7, 7], [7, 7]], 0), [[1, 0], [0, 1]])

    def test_refuses_negative_powers(self) -> None:
        with self.assertRaises(ValueError):
            power([[1]], -1)

    def test_takes_a_minor(self) -> None:
        nine = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
        self.assertEqual(minor(nine, 0, 1), [[4, 6], [7, 9]])
        self.assertEqual(minor(nine, 2, 2), [[1, 2], [4, 5]])

    def test_computes_determinants(self) -> None:
        self.assertEqual(determinant([[3]]), 3)
        self.assertEqual(determinant([[1, 2], [3, 4]]), -2)
        self.assertEqual(determinant([[2, 0, 1], [1, 3, 2], [1, 1, 1]]), 0)
        self.assertEqual(determinant([[2, 5, 1], [1, 3, 2], [4, 1, 1]]), 26)

    def test_refuses_determinants_of_what_is_not_square(self) -> None:
        with self.assertRaises(ValueError):
            determinant([[1, 2]])

    def test_sums_the_diagonal(self) -> None:
        self.assertEqual(trace([[1, 2], [3, 4]]), 5)
        self.assertEqual(trace([[1, 2, 3], [4, 5, 6]]), 6)

    def test_turns_clockwise(self) -> None:
        self.assertEqual(rotate([[1, 2], [3, 4]]), [[3, 1], [4, 2]])
        self.assertEqual(rotate([[1, 2, 3]], turns=3), [[3], [2], [1]])
        self.assertEqual(rotate([[1, 2], [3, 4]], turns=4), [[1, 2], [3, 4]])

    def test_walks_a_spiral(self) -> None:
        self.assertEqual(spiral([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), [1, 2, 3, 6, 9, 8, 7, 4, 5])
        self.assertEqual(spiral([[1, 2], [3, 4], [5, 6]]), [1, 2, 4, 6, 5, 3])
