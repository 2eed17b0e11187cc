"""Lines that bwrap and the launcher say where they cannot isolate, and the fix for each."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from pathlib import Path

import pytest

from agentsd.boxes import BoxSpec
from agentsd.errors import ConfigError, InfraError
from agentsd.sandbox.bwrap import BwrapBackend
from agentsd.sandbox.bwrap_probe import CannotIsolate, Kernel, explained, fix_for, strength
from agentsd.sandbox.throwaway import PREFERRED, users

OPEN = Kernel(None, None, "96365", is_root=False)
UBUNTU = Kernel("1", "1", "96365", is_root=False)
OLD_DEBIAN = Kernel(None, "0", "96365", is_root=False)
NO_NAMESPACES = Kernel(None, "1", "0", is_root=False)


@pytest.mark.parametrize(
    ("problem", "kernel", "fix"),
    [
        (
            "launcher: user namespace map: Operation not permitted",
            UBUNTU,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted",
            UBUNTU,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            "bwrap: setting up uid map: Permission denied",
            UBUNTU,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            "launcher: user namespace: Operation not permitted",
            OLD_DEBIAN,
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "bwrap: No permissions to create new namespace, likely because the kernel does not "
            "allow non-privileged user namespaces. On e.g. debian this can be enabled with "
            "'sysctl kernel.unprivileged_userns_clone=1'.",
            OLD_DEBIAN,
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "launcher: user namespace: No space left on device",
            NO_NAMESPACES,
            "sysctl -w user.max_user_namespaces=10000",
        ),
        ("launcher: user namespace: Invalid argument", OPEN, "CONFIG_USER_NS"),
        (
            "bwrap: Creating new namespace failed, likely because the kernel does not support "
            "user namespaces.  bwrap must be installed setuid on such systems.",
            OPEN,
            "CONFIG_USER_NS",
        ),
        ("launcher: user namespace: Operation not permitted", OPEN, "--privileged"),
        (
            "bwrap: Can't mount proc on /newroot/proc: Operation not permitted",
            OPEN,
            "--security-opt systempaths=unconfined",
        ),
        ("bwrap: Unknown option --disable-userns", OPEN, "bubblewrap 0.8.0 or later"),
        ("ModuleNotFoundError: No module named '_ctypes'", OPEN, "Python 3.8 or later"),
    ],
)
def test_each_line_has_the_fix_that_helps(problem: str, kernel: Kernel, fix: str) -> None:
    assert fix in fix_for(problem, kernel)
    error = explained(problem, kernel)
    assert isinstance(error, CannotIsolate)
    assert fix in str(error)
    assert problem in str(error)
    assert "\n" not in str(error)


def test_a_restriction_of_ordinary_users_is_not_blamed_for_the_failures_of_root() -> None:
    root = Kernel("1", "0", "96365", is_root=True)
    assert "--privileged" in fix_for("launcher: mount namespace: Operation not permitted", root)


def test_a_mount_that_fails_is_a_mistake_of_the_caller() -> None:
    for problem in (
        "launcher: mount /root/x: Permission denied",
        "bwrap: Can't mkdir /usr/x: Read-only file system",
    ):
        error = explained(problem, OPEN)
        assert isinstance(error, ConfigError)
        assert not isinstance(error, CannotIsolate)


def test_anything_else_is_the_machines_fault() -> None:
    for problem in ("bwrap: Can't fork: Cannot allocate memory", "it said nothing"):
        assert isinstance(explained(problem, UBUNTU), InfraError)


def test_settings_are_read_where_they_exist(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/apparmor_restrict_unprivileged_userns").write_text("1\n")
    kernel = Kernel.read(tmp_path)
    assert (kernel.apparmor_restricts, kernel.unprivileged_clone) == ("1", None)


def test_the_strength_of_a_box_says_what_is_not_limited() -> None:
    everything = frozenset({"memory", "pids", "cpu"})
    assert "throw-away user" in strength("0.8.0", everything, is_root=True)
    assert "not limited" not in strength("0.8.0", everything, is_root=True)
    weaker = strength("0.8.0", frozenset({"pids"}), is_root=False)
    assert "no control group for cpu, memory" in weaker
    assert "memory of several processes together is not limited" in weaker


def test_a_missing_bwrap_is_said_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    probe = asyncio.run(BwrapBackend().probe())
    assert (probe.works, probe.detail) == (False, "bwrap is not installed")
    assert "apt-get install bubblewrap" in probe.fix

    async def enter() -> None:
        async with BwrapBackend().box(BoxSpec()):
            pass

    with pytest.raises(ConfigError, match="apt-get install bubblewrap"):
        asyncio.run(enter())


def test_a_bwrap_that_is_too_old_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to other users
        old = Path(folder, "bwrap")
        old.write_text("#!/bin/sh\necho 'bwrap: Unknown option --disable-userns' >&2\nexit 1\n")
        old.chmod(0o755)
        Path(folder).chmod(0o755)
        monkeypatch.setenv("PATH", folder)
        probe = asyncio.run(BwrapBackend().probe())
    assert probe.detail == "bwrap: Unknown option --disable-userns"
    assert "bubblewrap 0.8.0 or later" in probe.fix


# the users of boxes


def maps(folder: Path, uid_map: str) -> Path:
    (folder / "uid_map").write_text(uid_map)
    (folder / "gid_map").write_text(uid_map)
    return folder


def test_ordinary_users_have_no_others(tmp_path: Path) -> None:
    supply = users(maps(tmp_path, "0 0 4294967295\n"), euid=1000)
    assert [next(supply), next(supply)] == [None, None]


def test_root_gives_each_box_another_user(tmp_path: Path) -> None:
    supply = users(maps(tmp_path, "0 0 4294967295\n"), euid=0)
    taken = list(itertools.islice(supply, 1000))
    assert len(set(taken)) == 1000
    assert all(uid in PREFERRED for uid in taken)


def test_root_of_a_container_uses_the_upper_half_of_what_it_has(tmp_path: Path) -> None:
    supply = users(maps(tmp_path, "0 100000 65536\n"), euid=0)
    taken = set(itertools.islice(supply, 40_000))
    assert taken == set(range(32768, 65536)) - {65534}


@pytest.mark.parametrize(("uid_map", "euid"), [("0 0 1\n", 0), ("1000 0 1\n", 1000)])
def test_nothing_runs_as_the_machines_root(tmp_path: Path, uid_map: str, euid: int) -> None:
    with pytest.raises(CannotIsolate, match="run as an ordinary user"):
        users(maps(tmp_path, uid_map), euid=euid)


def test_root_of_an_ordinary_users_namespace_is_that_user(tmp_path: Path) -> None:
    assert next(users(maps(tmp_path, "0 1000 1\n"), euid=0)) is None
