"""Programs that others start: a box's stdin and stdout as a plain command."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from agentsd.boxes import MIB, BoxLimits, BoxSpec
from agentsd.errors import ConfigError
from agentsd.sandbox import cgroups
from agentsd.sandbox.bwrap import BwrapBackend
from agentsd.sandbox.bwrap_command import stdio_command

SPEC = BoxSpec(BoxLimits(workdir_bytes=8 * MIB, num_files=100, num_processes=40), run="test-stdio")


@pytest.fixture(scope="module", autouse=True)
def _bwrap_works() -> None:
    probe = asyncio.run(BwrapBackend().probe())
    if not probe.works:
        pytest.skip(f"bwrap: {probe.detail}; {probe.fix}")


def run(
    argv: Sequence[str],
    spec: BoxSpec = SPEC,
    *,
    stdin: bytes = b"",
    writable: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """How a program ends that is started as an MCP client starts it."""

    async def body() -> subprocess.CompletedProcess[bytes]:
        async with stdio_command(argv, spec, writable=writable or {}) as command:
            return subprocess.run(
                command, input=stdin, capture_output=True, timeout=30, check=False
            )

    return asyncio.run(body())


def test_a_program_talks_through_its_own_stdin_and_stdout() -> None:
    done = run(["sh", "-c", "pwd; cat; echo problem >&2; exit 7"], stdin=b"bytes \x00\xff")
    assert (done.returncode, done.stdout) == (7, b"/work\nbytes \x00\xff")
    assert done.stderr == b"problem\n"


def test_a_program_that_is_not_there_says_so() -> None:
    done = run(["no-such-server", "--stdio"])
    assert (done.returncode, done.stderr) == (127, b"no-such-server: command not found\n")


def test_a_program_has_the_boxes_environment_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    script = """
    env; ulimit -n; cat /proc/self/oom_score_adj; id -u; grep NoNewPrivs /proc/self/status
    cat /proc/*/environ /proc/*/cmdline; echo
    for i in $(seq 200); do true > f$i || break; done; ls | wc -l
    """
    spec = BoxSpec(SPEC.limits, env={"API_URL": "http://localhost"}, run="test-stdio")
    done = run(["sh", "-c", script], spec)
    lines = done.stdout.splitlines()
    assert b"API_URL=http://localhost" in lines
    assert b"hunter2" not in done.stdout
    assert {b"1024", b"1000", b"NoNewPrivs:\t1"} <= set(lines)
    assert lines[-1] == b"100"


def test_the_words_can_be_used_again_each_time_for_a_fresh_box() -> None:
    async def body() -> list[bytes]:
        async with stdio_command(["sh", "-c", "ls; touch here"], SPEC) as command:
            return [
                subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)
            ]

    assert asyncio.run(body()) == [b"", b""]


def test_ending_the_process_that_was_started_ends_all_in_the_box() -> None:
    async def body() -> list[str]:
        async with stdio_command(["sh", "-c", "setsid sleep 99 & echo up; sleep 99"], SPEC) as argv:
            with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
                assert process.stdout
                assert process.stdout.readline() == b"up\n"
                process.terminate()
            await asyncio.sleep(0)
        # Leaving raises when a process is still in the box's control groups.
        name = cgroups.folder_name("test-stdio")
        return [str(m.top) for m in cgroups.mounts() if list(m.top.rglob(name))]

    assert asyncio.run(body()) == []


def test_a_folder_can_be_made_writable_where_the_boxes_user_may_write(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    tmp_path.chmod(0o700)
    done = run(["sh", "-c", "echo new > /data/file"], writable={"/data": str(shared)})
    assert done.returncode == 0, done.stderr
    assert (shared / "file").read_text() == "new\n"


def test_a_folder_that_the_boxes_user_cannot_write_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("boxes run as you where you are not root")
    with pytest.raises(ConfigError, match=r"chmod o\+rwx"):
        run(["true"], writable={"/data": str(tmp_path)})
    with pytest.raises(ConfigError, match="only folders"):
        run(["true"], writable={"/data": sys.executable})


def test_words_that_cannot_be_run_are_refused() -> None:
    for words in ([], ["echo", "a\0b"]):
        with pytest.raises(ConfigError, match="in words without NUL"):
            run(words)


def test_a_program_of_this_virtual_environment_runs_in_a_box() -> None:
    # The interpreter may live below a private home, and its packages in a virtual environment.
    base = os.path.realpath(sys.base_prefix)
    mounts = {"/opt/venv": sys.prefix, **({} if base.startswith("/usr") else {base: base})}
    python = f"/opt/venv/bin/{Path(sys.executable).name}"
    code = "import os, anyio; print(os.getuid(), os.getcwd(), anyio.__file__)"
    done = run([python, "-c", code], BoxSpec(mounts=mounts, run="test-stdio"))
    assert done.stdout.startswith(b"1000 /work /opt/venv/"), done.stderr
