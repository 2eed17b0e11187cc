"""Order jobs so that each comes after what it needs; find cycles and the longest chain."""

from __future__ import annotations

Needs = dict[str, list[str]]


class CycleError(ValueError):
    """Some jobs need each other."""


def all_jobs(needs: Needs) -> list[str]:
    """Every job that is named, sorted."""
    names = set(needs)
    for before in needs.values():
        names.update(before)
    return sorted(names)


def stages(needs: Needs) -> list[list[str]]:
    """Jobs in stages: all of a stage can run at once. Raises ``CycleError``."""
    waiting = {job: set(needs.get(job, [])) for job in all_jobs(needs)}
    found: list[list[str]] = []
    while waiting:
        ready = [job for job, before in waiting.items() if not before]
        if not ready:
            raise CycleError(f"a cycle among {', '.join(waiting)}")
        found.append(ready)
        for job in ready:
            del waiting[job]
        for before in waiting.values():
            before.difference_update(ready)
    return found


def order(needs: Needs, goals: list[str] | None = None) -> list[str]:
    """All jobs, or those the goals need, each after what it needs. Raises ``CycleError``."""
    done: list[str] = []
    open_jobs: set[str] = set()

    def visit(job: str) -> None:
        if job in done:
            return
        if job in open_jobs:
            raise CycleError(f"{job} needs itself")
        open_jobs.add(job)
        for before in sorted(needs.get(job, [])):
            visit(before)
        open_jobs.remove(job)
        done.append(job)

    for job in all_jobs(needs) if goals is None else goals:
        visit(job)
    return done


def find_cycle(needs: Needs) -> list[str]:
    """The jobs of one cycle in order, the smallest first; empty when there is none."""
    for start in all_jobs(needs):
        path = _path_back(needs, start, [start])
        if path:
            least = path.index(min(path))
            return path[least:] + path[:least]
    return []


def _path_back(needs: Needs, start: str, path: list[str]) -> list[str]:
    for before in sorted(needs.get(path[-1], [])):
        if before == start:
            return path
        if before not in path:
            found = _path_back(needs, start, [*path, before])
            if found:
                return found
    return []


def finish_times(needs: Needs, seconds: dict[str, int], default: int = 1) -> dict[str, int]:
    """When each job ends if it starts as soon as it can."""
    ends: dict[str, int] = {}
    for job in order(needs):
        start = max((ends[before] for before in needs.get(job, [])), default=0)
        ends[job] = start + seconds.get(job, default)
    return ends


def critical_path(needs: Needs, seconds: dict[str, int]) -> list[str]:
    """The chain of jobs that decides when everything is done."""
    ends = finish_times(needs, seconds)
    if not ends:
        return []
    path = [max(sorted(ends), key=lambda job: ends[job])]
    while needs.get(path[0]):
        path.insert(0, max(sorted(needs[path[0]]), key=lambda job: ends[job]))
    return path


def needed_by(needs: Needs, job: str) -> list[str]:
    """Everything that has to run again when the job changes, sorted."""
    affected: set[str] = set()
    waiting = [job]
    while waiting:
        current = waiting.pop()
        for other, before in needs.items():
            if current in before and other not in affected:
                affected.add(other)
                waiting.append(other)
    return sorted(affected)
