"""Numbers and verdicts in words. Knows nothing of pages, files or charts."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeGuard

from agentsd.report_page.inputs import Interval, Summary

NBSP = "\N{NO-BREAK SPACE}"
NOTHING = "\N{EM DASH}"
"""Stands for a number that is undefined."""

CATEGORY_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "T01": "Unknown tool",
        "T02": "Unparsable call",
        "T03": "Missing argument",
        "T04": "Argument against the schema",
        "T05": "Ungrounded value",
        "T06": "Wrong value, right tool",
        "T07": "Wrong tool",
        "T08": "Precondition not met",
        "T09": "Unauthorised action",
        "T10": "Repeated without change",
        "T11": "Ignored error",
        "T12": "Misread result",
        "T13": "Fabricated claim",
        "T14": "Needless or absent call",
        "T15": "Forgotten user constraint",
        "T16": "Stopped early or never",
        "T17": "Style or format",
    }
)

Change = Literal["better", "worse", "unclear", "unknown"]
"""``unclear``: the 95 % intervals overlap. ``unknown``: there was nothing to count."""

CHANGE_WORDS: Mapping[Change, str] = MappingProxyType(
    {
        "better": "clearly better",
        "worse": "clearly worse",
        "unclear": "no clear change",
        "unknown": "cannot be compared",
    }
)

ERROR_CLAUSES: Mapping[Change, str] = MappingProxyType(
    {
        "better": "the policy makes clearly fewer wrong calls than before",
        "worse": "the policy makes clearly more wrong calls than before",
        "unclear": "the share of wrong calls has not clearly changed",
        "unknown": "the share of wrong calls cannot be compared, for want of calls",
    }
)

SUCCESS_CLAUSES: Mapping[Change, str] = MappingProxyType(
    {
        "better": "it solves clearly more tasks",
        "worse": "it solves clearly fewer tasks",
        "unclear": "task success has not clearly changed",
        "unknown": "task success cannot be compared, for want of scored episodes",
    }
)


def error_change(summary: Summary) -> Change:
    """How errors per call changed."""
    return _change(summary.after.error_rate_interval, summary.before.error_rate_interval)


def success_change(summary: Summary) -> Change:
    """How task success changed."""
    return _change(summary.before.success_interval, summary.after.success_interval)


def sentence(summary: Summary, num_accepted: int) -> str:
    """What happened, in one sentence, whichever way it went."""
    errors, success = error_change(summary), success_change(summary)
    joint = "but" if {errors, success} == {"better", "worse"} else "and"
    changes = f"{ERROR_CLAUSES[errors]}, {joint} {SUCCESS_CLAUSES[success]}"
    if errors == success == "unclear":
        changes = "neither the share of wrong calls nor task success has clearly changed"
    steps = f"{summary.steps} training step{'' if summary.steps == 1 else 's'}"
    start = f"After {steps}" if num_accepted else f"No hint taught anything: after {steps}"
    return f"{start}, {changes}."


def _change(low_side: Interval, high_side: Interval) -> Change:
    """``better`` when the first interval lies wholly below the second."""
    (low_0, high_0), (low_1, high_1) = low_side, high_side
    if low_0 is None or high_0 is None or low_1 is None or high_1 is None:
        return "unknown"
    if high_0 < low_1:
        return "better"
    return "worse" if high_1 < low_0 else "unclear"


def category(code: str) -> str:
    """The name of an error category; a code that has none stands for itself."""
    return CATEGORY_NAMES.get(code, code)


def percent(share: float | None) -> str:
    """A share of 0 to 1.

    >>> percent(0.2307).replace(NBSP, " "), percent(None)
    ('23.1 %', '—')
    """
    return NOTHING if not _is_known(share) else f"{100 * share:.1f}{NBSP}%"


def interval(bounds: Interval) -> str:
    """Both bounds of a share.

    >>> interval((0.0491, 0.0824)).replace(NBSP, " ")
    '4.9–8.2 %'
    """
    low, high = bounds
    if not _is_known(low) or not _is_known(high):
        return NOTHING
    return f"{100 * low:.1f}–{100 * high:.1f}{NBSP}%"


def number(value: float | None, digits: int = 2) -> str:
    """A plain number.

    >>> number(-0.123), number(0.01234, 4), number(float("nan"))
    ('−0.12', '0.0123', '—')
    """
    if not _is_known(value):
        return NOTHING
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def probability(p: float) -> str:
    """A probability with as many digits as matter.

    >>> probability(0.934), probability(0.00312), probability(1e-9)
    ('0.93', '0.0031', '<0.0001')
    """
    if p < 0.0001:
        return "<0.0001"
    return f"{p:.2f}" if p >= 0.01 else f"{p:.4f}"


def divergence_name(setting: str) -> str:
    """What a recipe's divergence is called.

    >>> divergence_name("forward_kl"), divergence_name("jsd")
    ('Forward KL', 'JSD')
    """
    names = {"forward_kl": "Forward KL", "reverse_kl": "Reverse KL"}
    return names.get(setting, setting.upper())


def duration(seconds: float) -> str:
    """A time span with two units at most.

    >>> [duration(s).replace(NBSP, " ") for s in (41.3, 222, 4380)]
    ['41 s', '3 min 42 s', '1 h 13 min']
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours}{NBSP}h {minutes_left}{NBSP}min"
    return f"{minutes}{NBSP}min {rest}{NBSP}s" if minutes else f"{rest}{NBSP}s"


def visible(text: str) -> str:
    r"""The text with what would disturb the page spelled out: controls, bidi overrides, surrogates.

    >>> visible("a\tb\x00\u202e")
    'a\tb\\u0000\\u202e'
    """
    return "".join(f"\\u{ord(c):04x}" if _disturbs(c) else c for c in text)


def token_text(text: str) -> str:
    r"""A token's text with its white space made visible.

    >>> token_text(" day\n")
    '␣day↵'
    """
    return text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")


def _disturbs(char: str) -> bool:
    if char in "\n\t":
        return False
    bidi = unicodedata.bidirectional(char) in {"LRE", "RLE", "LRO", "RLO", "PDF"}
    isolate = unicodedata.bidirectional(char) in {"LRI", "RLI", "FSI", "PDI"}
    return bidi or isolate or unicodedata.category(char) in {"Cc", "Cs"}


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
