"""The data that flows through agentsd: frozen, plain, and free of torch.

Message space (``Message`` ... ``Finding``) is what environment and critic authors see. Token space
(``Span``, ``TokenLog``, ``Branch``) is what the framework sees. Knows nothing of files, engines or
tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]

ErrorClass = Literal["policy", "tool", "timeout", "infra"]
"""Whose fault a failed call is. The policy may learn from the first three, never from infra."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open interval ``[start, stop)``: of tokens, unless its name says ``char_span``.

    Raises ``ValueError`` when it is reversed or negative.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"span [{self.start}, {self.stop}) is negative or reversed")

    def __len__(self) -> int:
        return self.stop - self.start

    def shift(self, by: int) -> Span:
        """The same interval ``by`` places further right."""
        return Span(self.start + by, self.stop + by)

    def overlaps(self, other: Span) -> bool:
        """Whether the two share at least one place."""
        return self.start < other.stop and other.start < self.stop


# --- message space ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as it is offered to the policy."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    """JSON Schema (2020-12) of the arguments object."""
    read_only: bool = False
    """The tool promises not to change state (MCP ``readOnlyHint``)."""


@dataclass(frozen=True, slots=True)
class CallSpans:
    """Where the parts of a call stand in the text of its turn, in characters."""

    call: Span
    name: Span | None = None
    arguments: Span | None = None
    problem: Span | None = None
    """From the first character that cannot be parsed to the end of the call."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A request by the policy. A malformed one is data: ``problem`` says why, no ``arguments``."""

    id: str
    name: str
    raw_arguments: str
    """The characters the policy wrote, never re-serialized."""
    arguments: Mapping[str, Any] | None = None
    problem: str | None = None
    spans: CallSpans | None = None
    """None for imported calls, whose turn text is unknown."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The reply of a tool. A tool that says no is a value; a sandbox that dies is an exception."""

    call_id: str
    content: str
    structured: Any = None
    is_error: bool = False
    error_class: ErrorClass | None = None
    truncated_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. Tool messages keep the ``ToolResult`` they were made from."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None
    result: ToolResult | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One assistant message and the tool messages it caused."""

    index: int
    message_index: int
    """Position of the assistant message in ``Trajectory.messages``."""
    message: Message
    results: tuple[Message, ...]

    def result_of(self, call_index: int) -> Message | None:
        """The tool message that answers the call, or None. Pairs by order: ids may repeat."""
        return self.results[call_index] if call_index < len(self.results) else None


@dataclass(frozen=True, slots=True)
class Task:
    """One problem instance."""

    id: str
    prompt: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the environment needs to set up and grade the task; the policy never sees it."""
    max_calls: int | None = None
    """Budget of tool calls for an episode; None leaves it to the rollout limits."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an episode ended. ``score is None`` means unscored, which is never the same as 0.0."""

    score: float | None = None
    reason: str = ""


class StopReason(StrEnum):
    """Why an episode ended."""

    DONE = "done"
    """The policy answered without calling a tool."""
    MAX_CALLS = "max_calls"
    """The task's budget of tool calls is used up."""
    MAX_TURNS = "max_turns"
    """The rollout's limit of turns is reached."""
    MAX_TOKENS = "max_tokens"
    """The conversation, or one turn, does not fit the token limits."""
    TIMEOUT = "timeout"
    """The episode ran out of wall time."""
    INFRA = "infra"
    """A server, sandbox or engine failed: the episode is void and never trained on."""
    IMPORTED = "imported"
    """The trajectory comes from a dataset that does not say."""


# --- token space -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenLog:
    """The tokens the engine really saw and produced, append-only; the source of truth.

    ``turns[k]`` covers the generation prompt and the sampled tokens of turn ``first_turn + k``, so
    a hint for that turn is inserted at ``turns[k].start``. When a harness rewrites history, a new
    log starts.
    """

    ids: tuple[int, ...]
    sampled: tuple[bool, ...]
    """True where the policy chose the token."""
    logprobs: tuple[float | None, ...] | None
    """From the engine, in nats, where ``sampled``; None elsewhere. None as a whole: off-policy."""
    turns: tuple[Span, ...]
    first_turn: int = 0

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.sampled)}
        if self.logprobs is not None:
            lengths.add(len(self.logprobs))
        if len(lengths) != 1:
            raise ValueError(f"ids, sampled and logprobs differ in length: {sorted(lengths)}")
        if self.turns and self.turns[-1].stop > len(self.ids):
            raise ValueError(f"turn {self.turns[-1]} ends after the last of {len(self.ids)} tokens")

    def sampled_span(self, turn: int) -> Span:
        """The tokens the policy chose in ``turn`` (an index of the trajectory).

        Raises ``IndexError`` when the turn is in another log.
        """
        if not 0 <= turn - self.first_turn < len(self.turns):
            raise IndexError(f"turn {turn} is not in this log")
        span = self.turns[turn - self.first_turn]
        start = next((i for i in range(span.start, span.stop) if self.sampled[i]), span.stop)
        return Span(start, span.stop)


@dataclass(frozen=True, slots=True)
class Branch:
    """A question to the hinted teacher: ``hint_ids`` go before token ``at``; judge ``span``."""

    at: int
    hint_ids: tuple[int, ...]
    span: Span

    def __post_init__(self) -> None:
        if not 1 <= self.at <= self.span.start or not len(self.span):
            raise ValueError(
                f"branch needs 1 <= at <= span.start and a span that is not empty, "
                f"got at={self.at}, span=[{self.span.start}, {self.span.stop})"
            )


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The recorded turns of an episode; immutable, reviewed as often as one likes."""

    id: str
    task_id: str
    env: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    token_logs: tuple[TokenLog, ...] = ()
    outcome: Outcome = Outcome()
    stop_reason: StopReason = StopReason.IMPORTED
    policy_version: str = ""
    seed: int | None = None
    timings: Mapping[str, float] = field(default_factory=dict[str, float])
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    def turns(self) -> tuple[Turn, ...]:
        """Every assistant message with the tool messages that follow it, in order."""
        starts = [i for i, message in enumerate(self.messages) if message.role == "assistant"]
        return tuple(self._turn(index, start) for index, start in enumerate(starts))

    def _turn(self, index: int, start: int) -> Turn:
        stop = start + 1
        while stop < len(self.messages) and self.messages[stop].role == "tool":
            stop += 1
        return Turn(index, start, self.messages[start], self.messages[start + 1 : stop])

    def log_of(self, turn: int) -> TokenLog | None:
        """The token log that holds the turn, or None for a turn without recorded tokens."""
        for log in self.token_logs:
            if 0 <= turn - log.first_turn < len(log.turns):
                return log
        return None


# --- what a critic says ------------------------------------------------------------------------

Field = Literal["name", "arguments", "call", "content", "turn"]
"""Which text ``Finding.char_span`` counts in: see ``Finding``."""

Severity = Literal["critical", "minor"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A critic's verdict on one tool call: where it is, and the hint that would have helped.

    ``field`` names the text in which ``quote`` stands: the call's ``name``, its raw ``arguments``,
    the whole ``call`` as written, the message's ``content``, or the whole ``turn``. ``char_span``
    counts characters of that text; None means all of it.
    """

    trajectory_id: str
    turn: int
    call_index: int | None
    """Position among the calls of the turn; None when the finding is about the message itself."""
    field: Field
    quote: str
    char_span: Span | None
    category: str
    """T01 .. T17, or an abstention X1 .. X3, which never trains."""
    severity: Severity
    evidence: str
    hint: str
    """Empty for abstentions."""
    confidence: float
    critic: str

    @property
    def is_abstention(self) -> bool:
        """Whether the critic says that the policy is not at fault, or that it cannot tell."""
        return self.category.startswith("X")
