"""Show attack reports as a table. Knows nothing of how they were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from agentsd.attacks.attack import AttackReport, Ending

STYLES = {Ending.BLOCKED: "green", Ending.SUCCEEDED: "bold red", Ending.BROKEN: "bold yellow"}


def attack_table(reports: Sequence[AttackReport]) -> Table:
    """One row an attack: what it is, what was tried, what stopped it, or that nothing did."""
    table = Table("category", "attack", "what was tried", "stopped by", title=None)
    last = ""
    for report in reports:
        category = "" if report.category == last else report.category
        last = report.category
        stopped_by = (
            report.stopped_by if report.blocked else f"{report.ending}: {report.stopped_by}"
        )
        # Text, not markup: the words may be an attacker's.
        table.add_row(
            Text(category),
            Text(report.name),
            Text(report.tried),
            Text(stopped_by, style=STYLES[report.ending]),
        )
    return table


def summary(reports: Sequence[AttackReport]) -> str:
    """One line of counts."""
    counts = Counter(report.ending for report in reports)
    seconds = sum(report.seconds for report in reports)
    return (
        f"{len(reports)} attacks: "
        + ", ".join(f"{counts[ending]} {ending}" for ending in Ending)
        + f" in {seconds:.0f} s"
    )
