"""The attack suite: attacks succeed where nothing stops them, and every backend blocks them all."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import io
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from agentsd.attacks import inside, kernel_calls
from agentsd.attacks.attack import Attack, AttackReport, Ending, MakeBackend
from agentsd.attacks.drives import plain
from agentsd.attacks.inside import Report
from agentsd.attacks.runner import printable, run_attacks, unblocked
from agentsd.attacks.sending import read_report
from agentsd.attacks.suite import ATTACKS, named
from agentsd.attacks.survivors import alive, left_after, tagged
from agentsd.attacks.table import attack_table, summary
from agentsd.boxes import BoxSpec, ExecResult, Probe
from agentsd.errors import ConfigError, InfraError
from agentsd.interfaces import Sandbox
from agentsd.sandbox.backends import backend

HERE = str(Path(__file__).parent)
HARMLESS = (
    "read host tmp",
    "overwrite host tmp",
    "list host tmp",
    "read host shm",
    "roots of processes",
    "own environment",
    "environments",
    "command lines",
    "signal host process",
    "inherited descriptors",
    "descriptors of the box",
    "tcp to host",
    "name lookup",
    "abstract socket",
    "unix socket",
    "trace the box",
    "open memory of the box",
    "kill the box",
    "background process",
    "daemon",
    "restarting daemon",
    "cancelled call",
    "killed parent",
    "thread bomb",
    "disk bomb",
    "inode bomb",
    "flood stdout",
    "flood stderr",
    "link to read",
    "link to write",
    "linked folder",
    "absolute path",
    "swapped folder",
    "files of a neighbour",
    "processes of a neighbour",
    "sockets of a neighbour",
    "memory of a neighbour",
)
"""Attacks that do no harm to a machine that lets them through."""


@pytest.fixture(scope="module")
def open_backend() -> Iterator[MakeBackend]:
    """Makes a backend whose boxes stop nothing, here and in a child process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        patch.setenv("PYTHONPATH", HERE)
        yield importlib.import_module("open_backend").OpenBackend


@pytest.fixture(scope="module")
def on_open_box(open_backend: MakeBackend) -> dict[str, AttackReport]:
    """How the harmless attacks end where nothing stops them."""
    reports = asyncio.run(run_attacks(open_backend, named(HARMLESS)))
    return {report.name: report for report in reports}


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMLESS)
def test_an_attack_succeeds_where_nothing_stops_it(
    name: str, on_open_box: dict[str, AttackReport]
) -> None:
    report = on_open_box[name]
    assert report.ending is Ending.SUCCEEDED, report.stopped_by


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bwrap", "docker"])
def test_every_backend_blocks_every_attack(name: str) -> None:
    make = functools.partial(backend, name)
    try:
        probe = asyncio.run(make().probe())
    except ConfigError as error:
        pytest.skip(str(error))
    if not probe.works:
        pytest.skip(f"{name}: {probe.detail}; {probe.fix}")
    reports = asyncio.run(run_attacks(make))
    assert list(unblocked(reports)) == []
    assert len(reports) == len(ATTACKS)


# --- the suite's own honesty -------------------------------------------------------------------


class LyingBox:
    """A box whose commands all end the same way, whatever they are."""

    def __init__(self, result: ExecResult) -> None:
        self.result = result

    async def exec(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> ExecResult:
        return self.result if stdin else ExecResult(0, b"1\n", b"")

    async def read(self, path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    async def write(self, path: str, data: bytes) -> None:
        raise FileNotFoundError(2, "No such file or directory")


class LyingBackend:
    """Gives lying boxes."""

    def __init__(self, result: ExecResult) -> None:
        self.result = result

    async def probe(self) -> Probe:
        return Probe("lying", works=True, detail="")

    @contextlib.asynccontextmanager
    async def box(self, spec: BoxSpec) -> AsyncIterator[Sandbox]:
        yield LyingBox(self.result)


def ending_of(result: ExecResult, attack: Attack) -> AttackReport:
    [report] = asyncio.run(run_attacks(lambda: LyingBackend(result), [attack]))
    return report


@pytest.mark.parametrize(
    "result",
    [
        ExecResult(127, b"", b"python3: not found\n"),
        ExecResult(1, b"", b"Traceback\nImportError: no ctypes\n"),
        ExecResult(0, b"", b""),
        ExecResult(None, b"", b""),
        ExecResult(137, b"", b""),
    ],
)
def test_a_payload_that_could_not_report_is_not_taken_for_blocked(result: ExecResult) -> None:
    [attack] = named(["read shadow"])
    assert ending_of(result, attack).ending is Ending.BROKEN


@pytest.mark.parametrize(
    ("code", "words"), [(None, "killed at the deadline"), (137, "killed by SIGKILL")]
)
def test_only_a_payload_that_may_die_is_blocked_by_its_death(code: int | None, words: str) -> None:
    result = ExecResult(code, b"", b"")
    assert read_report(result, may_die=True) == Report("stopped", words)
    assert read_report(result, may_die=False).ending == "broken"


LIAR = """
from agentsd.attacks.inside import Bait, peek, stopped

def read_and_deny(bait):
    "Read a file of the host and say that it could not be read"
    peek(bait.marker)
    return stopped("EPERM")
"""


def test_the_host_overrules_a_payload_that_claims_to_be_stopped(
    open_backend: MakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agentsd_test_liar.py").write_text(LIAR)
    monkeypatch.syspath_prepend(tmp_path)
    payload = importlib.import_module("agentsd_test_liar").read_and_deny
    [report] = asyncio.run(run_attacks(open_backend, [Attack(payload, plain)]))
    assert report.ending is Ending.SUCCEEDED
    assert "the secret of the host came out" in report.stopped_by


def test_a_box_that_dies_under_an_attack_is_the_attacks_success() -> None:
    class Dying(LyingBox):
        async def exec(
            self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
        ) -> ExecResult:
            if stdin:
                raise InfraError("the server is gone")
            return await super().exec(argv, timeout_s=timeout_s)

    class Backend(LyingBackend):
        @contextlib.asynccontextmanager
        async def box(self, spec: BoxSpec) -> AsyncIterator[Sandbox]:
            yield Dying(self.result)

    [report] = asyncio.run(
        run_attacks(lambda: Backend(ExecResult(0, b"", b"")), named(["read shadow"]))
    )
    assert report.ending is Ending.SUCCEEDED
    assert "the server is gone" in report.stopped_by


def test_a_backend_that_does_not_work_here_says_so_once() -> None:
    class Broken(LyingBackend):
        @contextlib.asynccontextmanager
        async def box(self, spec: BoxSpec) -> AsyncIterator[Sandbox]:
            raise ConfigError("install it")
            yield

    with pytest.raises(ConfigError, match="install it"):
        asyncio.run(run_attacks(lambda: Broken(ExecResult(0, b"", b""))))


# --- the table ---------------------------------------------------------------------------------


def test_there_are_at_least_forty_five_attacks_each_named_and_described() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(names) == len(set(names)) >= 45
    assert all(len(attack.tried) > 10 and "_" not in attack.name for attack in ATTACKS)


def test_the_table_shows_an_attackers_words_as_text() -> None:
    evil = printable("[bold]\x1b]0;title\x07\x1b[2J\nsecond line")
    report = AttackReport("n", "c", "t", Ending.SUCCEEDED, evil, 0.1)
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=False).print(attack_table([report]))
    assert "[bold]" in out.getvalue()
    assert "\x1b" not in out.getvalue()
    assert "\x07" not in out.getvalue()
    assert summary([report]).startswith("1 attacks: 0 blocked, 1 succeeded, 0 broken")


def test_an_unknown_attack_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="'no such attack'"):
        named(["no such attack"])


# --- what payloads stand on --------------------------------------------------------------------


def test_payloads_use_nothing_but_the_standard_library() -> None:
    for attack in ATTACKS:
        module = sys.modules[attack.payload.__module__]
        source = Path(module.__file__ or "").read_text()
        imports = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
        own = [line for line in imports if "agentsd" in line]
        assert all(
            line.startswith(("from agentsd.attacks.inside", "from agentsd.attacks.kernel_calls"))
            for line in own
        ), attack.name


def test_both_architectures_name_the_same_calls_except_those_of_the_pc() -> None:
    assert kernel_calls.X86_64.keys() - kernel_calls.AARCH64.keys() == {"iopl", "ioperm"}
    assert kernel_calls.AARCH64.keys() <= kernel_calls.X86_64.keys()


def test_a_bomb_succeeds_only_beyond_its_limit_and_the_slack() -> None:
    # 40 processes and a slack of a quarter: 50 is still coarse accounting, 51 is not.
    assert inside.compare(50, 40, "processes", "EAGAIN").ending == "stopped"
    assert inside.compare(51, 40, "processes", "EAGAIN").ending == "succeeded"


def test_a_call_that_is_killed_is_told_from_one_that_is_refused() -> None:
    def die() -> Report:
        os.kill(os.getpid(), 31)
        return inside.ready()

    assert inside.in_child(die) == Report("stopped", "killed by SIGSYS")
    assert inside.attempt(lambda: os.listdir("/no/such/folder")) == Report("stopped", "ENOENT")


def test_processes_are_found_by_their_tag_until_they_have_ended() -> None:
    async def run() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "60", "0", env={})
        tag = f"agentsd-test-{process.pid}"
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)", tag
        )
        try:
            for _ in range(200):
                if tagged(tag):
                    break
                await asyncio.sleep(0.02)
            assert tagged(tag) == {other.pid}
            assert await left_after(tag, 0) == {other.pid}
        finally:
            process.kill()
            other.kill()
            await process.wait()
            await other.wait()
        assert await left_after(tag, 5) == set()
        assert alive({process.pid, other.pid}) == set()

    asyncio.run(run())
