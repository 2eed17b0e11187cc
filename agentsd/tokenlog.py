"""Record what the engine saw and sampled, append-only.

Knows nothing of text, roles or templates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentsd.errors import TokenError
from agentsd.sampling import Completion
from agentsd.types import Span, TokenLog


class LogBuilder:
    """Grows one ``TokenLog``. Tokens once added are never changed or removed."""

    def __init__(self, first_turn: int = 0) -> None:
        self._first_turn = first_turn
        self._ids: list[int] = []
        self._sampled: list[bool] = []
        self._logprobs: list[float | None] = []
        self._turns: list[Span] = []

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def num_turns(self) -> int:
        """How many sampled turns the log holds."""
        return len(self._turns)

    def prompt(self, header_ids: Sequence[int]) -> tuple[int, ...]:
        """What the engine is asked next: everything so far, then the generation prompt."""
        return (*self._ids, *header_ids)

    def add_prompt(self, ids: Sequence[int]) -> None:
        """Append tokens that the policy did not choose: a first prompt, or a chat suffix."""
        self._ids.extend(ids)
        self._sampled.extend([False] * len(ids))
        self._logprobs.extend([None] * len(ids))

    def add_turn(self, header_ids: Sequence[int], completion: Completion) -> None:
        """Append the generation prompt and what was sampled after it.

        Raises ``TokenError`` when the completion is empty, lacks a log-probability or follows
        nothing; the log is then unchanged.
        """
        check_completion(completion)
        if not self._ids and not header_ids:
            raise TokenError("the first sampled token follows nothing; add_prompt comes first")
        start = len(self._ids)
        self.add_prompt(header_ids)
        self._ids.extend(completion.ids)
        self._sampled.extend([True] * len(completion.ids))
        self._logprobs.extend(completion.logprobs)
        self._turns.append(Span(start, len(self._ids)))

    def log(self) -> TokenLog:
        """The log so far. Later additions do not change it."""
        return TokenLog(
            ids=tuple(self._ids),
            sampled=tuple(self._sampled),
            logprobs=tuple(self._logprobs),
            turns=tuple(self._turns),
            first_turn=self._first_turn,
        )


def check_completion(completion: Completion) -> None:
    """Refuse a completion that cannot be recorded. Raises ``TokenError``."""
    if not completion.ids:
        raise TokenError("the engine sampled no token; a turn has at least its stop token")
    if len(completion.ids) != len(completion.logprobs):
        raise TokenError(
            f"the engine gave {len(completion.logprobs)} log-probabilities "
            f"for {len(completion.ids)} tokens; it must give one for each"
        )
    bad = [at for at, value in enumerate(completion.logprobs) if not math.isfinite(value)]
    if bad:
        raise TokenError(
            f"log-probability {completion.logprobs[bad[0]]} of sampled token {bad[0]} is not finite"
        )


def grows(before: TokenLog, after: TokenLog) -> bool:
    """Whether ``after`` is ``before`` with more tokens at its end, and nothing else changed."""
    kept = len(before.ids)
    return (
        after.ids[:kept] == before.ids
        and after.sampled[:kept] == before.sampled
        and (before.logprobs is None or (after.logprobs or ())[:kept] == before.logprobs)
        and after.turns[: len(before.turns)] == before.turns
        and after.first_turn == before.first_turn
    )
