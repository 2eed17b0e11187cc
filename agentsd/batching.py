"""Cut a batch into micro-batches of similar length. Knows nothing of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def micro_batches(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Indices of sequences whose padded size stays within ``max_tokens``, shortest first.

    A sequence longer than ``max_tokens`` gets a micro-batch of its own.

    >>> list(micro_batches([5, 2, 9, 3], max_tokens=10))
    [[1, 3], [0], [2]]
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and lengths[index] * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
