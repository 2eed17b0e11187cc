"""Tell people how far a job is: a bar on a terminal, plain lines elsewhere. Knows no job."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Tick = Callable[[str], None]
"""One unit is done; the text, if any, says what came of it."""


@contextlib.contextmanager
def progress(console: Console, title: str, total: int) -> Iterator[Tick]:
    """Count ``total`` units. Without a terminal, units that say something become lines."""
    if not console.is_terminal:
        yield _plain(console, title, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, note="")

        def tick(text: str) -> None:
            bar.advance(task)
            if text:
                bar.update(task, note=text)

        yield tick


def _plain(console: Console, title: str, total: int) -> Tick:
    done = 0

    def tick(text: str) -> None:
        nonlocal done
        done += 1
        if text:
            console.print(f"{title} {done}/{total}  {text}", highlight=False, soft_wrap=True)

    console.print(f"{title} ...", highlight=False)
    return tick
