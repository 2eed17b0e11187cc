"""The conformance checks of sandboxes find what is wrong, and every backend passes them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from agentsd.boxes import BoxSpec, ExecResult, Probe
from agentsd.errors import ConfigError
from agentsd.interfaces import Sandbox, SandboxBackend
from agentsd.sandbox.backends import backend
from agentsd.sandbox_checks import CHECKS, check_sandbox

HERE = str(Path(__file__).parent)


@pytest.fixture(scope="module", params=["bwrap", "docker"])
def make(request: pytest.FixtureRequest) -> functools.partial[SandboxBackend]:
    """Makes a backend that works on this machine."""
    make = functools.partial(backend, request.param)
    try:
        probe = asyncio.run(make().probe())
    except ConfigError as error:
        pytest.skip(str(error))
    if not probe.works:
        pytest.skip(f"{request.param}: {probe.detail}; {probe.fix}")
    return make


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_every_backend_keeps_every_promise(
    make: functools.partial[SandboxBackend], name: str
) -> None:
    assert asyncio.run(check_sandbox(make, {name: CHECKS[name]})) == []


# --- the checks can fail -----------------------------------------------------------------------

BROKEN_BY_OPENNESS = {
    "missing program": "raised FileNotFoundError",
    "output cap": "kept and thrown away",
    "deadline": "s after its deadline",
    "one command at a time": "side by side",
    "environment": "of the host",
    "errors of write": "must raise",
    "end of a box": "must raise InfraError",
    "cancelled command": "processes are left",
    "two boxes": "sees another's",
    "killed parent": "outlive their parent",
}
"""What a sandbox that stops nothing does wrong, and a part of what the check says of it."""


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN_BY_OPENNESS)
def test_a_check_finds_what_a_careless_sandbox_does_wrong(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", HERE)
    careless = importlib.import_module("open_backend").OpenBackend
    problems = asyncio.run(check_sandbox(careless, {name: CHECKS[name]}))
    assert any(BROKEN_BY_OPENNESS[name] in problem for problem in problems), problems
    assert all(problem.startswith(f"{name}: ") for problem in problems)


class Silent:
    """A box that does nothing, says that all went well, and forgets every file."""

    async def exec(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> ExecResult:
        return ExecResult(0, b"", b"")

    async def read(self, path: str) -> bytes:
        return b""

    async def write(self, path: str, data: bytes) -> None:
        pass

    async def snapshot(self) -> bytes:
        return b""

    async def restore(self, snapshot: bytes) -> None:
        raise OSError("no such snapshot")


class SilentBackend:
    """Gives silent boxes."""

    async def probe(self) -> Probe:
        return Probe("silent", works=True, detail="")

    @contextlib.asynccontextmanager
    async def box(self, spec: BoxSpec) -> AsyncIterator[Sandbox]:
        yield Silent()


NOT_SEEN_IN_SILENCE = {
    "exception in a box",  # the block's exception does come out
    "cancelled opening",  # nothing was started
    "descriptors",
    "killed parent",  # slow: it waits for a command that never starts
}


@pytest.mark.parametrize("name", sorted(CHECKS.keys() - NOT_SEEN_IN_SILENCE))
def test_a_check_finds_a_box_that_does_nothing(name: str) -> None:
    assert asyncio.run(check_sandbox(SilentBackend, {name: CHECKS[name]}))


def test_a_sandbox_that_wraps_exceptions_and_leaks_descriptors_is_found() -> None:
    kept = []

    class Leaky(SilentBackend):
        @contextlib.asynccontextmanager
        async def box(self, spec: BoxSpec) -> AsyncIterator[Sandbox]:
            kept.append(os.open(os.devnull, os.O_RDONLY))
            try:
                yield Silent()
            except KeyError as error:
                raise RuntimeError("wrapped") from error

    names = ("exception in a box", "descriptors")
    problems = asyncio.run(check_sandbox(Leaky, {name: CHECKS[name] for name in names}))
    for descriptor in kept:
        os.close(descriptor)
    assert len(problems) == 2
    assert "RuntimeError('wrapped')" in problems[0]
    assert "open descriptors grow" in problems[1]


def test_a_backend_that_does_not_work_here_says_so() -> None:
    class Broken(SilentBackend):
        @contextlib.asynccontextmanager
        async def box(self, spec: BoxSpec) -> AsyncIterator[Sandbox]:
            raise ConfigError("install it")
            yield

    with pytest.raises(ConfigError, match="install it"):
        asyncio.run(check_sandbox(Broken))


def test_a_box_that_takes_no_snapshots_breaks_no_promise() -> None:
    class Plain:
        """Like ``Silent``, without snapshots."""

        exec = Silent.exec
        read = Silent.read
        write = Silent.write

    class NoSnapshots(SilentBackend):
        @contextlib.asynccontextmanager
        async def box(self, spec: BoxSpec) -> AsyncIterator[Sandbox]:
            yield Plain()

    names = ("snapshot and restore", "snapshot into another box")
    assert asyncio.run(check_sandbox(NoSnapshots, {name: CHECKS[name] for name in names})) == []
