"""Why a bwrap box does not start on this machine, and the exact fix.

Whatever goes wrong shows as one line, of the launcher or of bwrap; this module knows those lines
and the kernel settings behind them. Knows nothing of how boxes are started.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from agentsd.boxes import BoxSpec, Probe
from agentsd.errors import AgentsdError, ConfigError, InfraError
from agentsd.interfaces import Sandbox

PROBE_S = 10.0

APPARMOR = (
    "AppArmor restricts user namespaces: run `sysctl -w "
    "kernel.apparmor_restrict_unprivileged_userns=0`, or start agentsd as root"
)
SWITCHED_OFF = "user namespaces are switched off: run `sysctl -w {name}={value}`"
NO_KERNEL = "this kernel has no user namespaces: build it with CONFIG_USER_NS, or start as root"
CONTAINER = (
    "this container may not create namespaces: start it with `--privileged`, or with "
    "`--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined`"
)
MASKED_PROC = (
    "this container may not mount /proc: start it with `--security-opt systempaths=unconfined`"
)
TOO_OLD = "bwrap is older than 0.8.0: install bubblewrap 0.8.0 or later"
UNKNOWN = "run `bwrap --unshare-all --ro-bind / / true` and repair what it names"
INSTALL = "install it with `apt-get install bubblewrap` or `dnf install bubblewrap`"
NO_SERVER = "/usr/bin/python3 must be a working Python 3.8 or later: reinstall python3"


@dataclass(frozen=True, slots=True)
class Kernel:
    """The settings that decide whether namespaces can be created; None where there is no such."""

    apparmor_restricts: str | None
    unprivileged_clone: str | None
    max_user_namespaces: str | None
    is_root: bool

    @classmethod
    def read(cls, sysctl: Path = Path("/proc/sys")) -> Kernel:
        """What holds on this machine now."""
        return cls(
            _setting(sysctl / "kernel/apparmor_restrict_unprivileged_userns"),
            _setting(sysctl / "kernel/unprivileged_userns_clone"),
            _setting(sysctl / "user/max_user_namespaces"),
            os.geteuid() == 0,
        )


def _setting(path: Path) -> str | None:
    return path.read_text().strip() if path.exists() else None


def fix_for(problem: str, kernel: Kernel) -> str:
    """What to do about a start that failed with this line; empty when isolation is not at fault."""
    if re.search(r"[Uu]nknown option --", problem):
        return TOO_OLD
    if re.search(r"[Cc]an't mount proc", problem):
        return MASKED_PROC
    if "No module named" in problem or "SyntaxError" in problem:
        return NO_SERVER
    if not re.search(NAMESPACE_LINES, problem):
        return ""
    return _namespace_fix(problem, kernel)


NAMESPACE_LINES = (
    r"launcher: (user namespace|mount namespace|mount tmpfs|private mounts|change |drop groups)"
    r"|[Cc]reat\w+ new namespace|uid map|gid map|RTM_NEWADDR|pivot_root|setting up|make / slave"
)


def _namespace_fix(problem: str, kernel: Kernel) -> str:
    if kernel.max_user_namespaces == "0":
        return SWITCHED_OFF.format(name="user.max_user_namespaces", value=10000)
    if kernel.unprivileged_clone == "0" and not kernel.is_root:
        return SWITCHED_OFF.format(name="kernel.unprivileged_userns_clone", value=1)
    if kernel.apparmor_restricts == "1" and not kernel.is_root:
        return APPARMOR
    if "Invalid argument" in problem or "does not support user namespaces" in problem:
        return NO_KERNEL
    return CONTAINER


class CannotIsolate(ConfigError):
    """This machine cannot close a box; ``fix`` says what to do about it."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"bwrap cannot isolate here: {fix} ({problem})")
        self.problem, self.fix = problem, fix


def explained(problem: str, kernel: Kernel) -> AgentsdError:
    """The error for a box that did not start because of this line."""
    if fix := fix_for(problem, kernel):
        return CannotIsolate(problem, fix)
    if "launcher: mount /" in problem:
        return ConfigError(f"{problem}; a mounted path must be readable for the box's user")
    if re.search(r"Can't (mkdir|create file)", problem):
        return ConfigError(f"{problem}; below a read-only folder, mount only on what exists there")
    return InfraError(f"a bwrap box did not start: {problem}")


async def probe_box(
    box: Callable[[BoxSpec], AbstractAsyncContextManager[Sandbox]],
    detail: Callable[[], Awaitable[str]],
) -> Probe:
    """Run a command in a real box. Never raises; ``detail`` is asked once that worked."""
    try:
        async with box(BoxSpec(run="probe")) as sandbox:
            result = await sandbox.exec(["true"], timeout_s=PROBE_S)
    except CannotIsolate as error:
        return Probe("bwrap", works=False, detail=error.problem, fix=error.fix)
    except AgentsdError as error:
        return Probe("bwrap", works=False, detail=str(error), fix=UNKNOWN)
    if result.exit_code != 0:
        said = result.stderr.decode(errors="replace").strip()
        return Probe("bwrap", False, f"`true` ended with {result.exit_code}: {said}", UNKNOWN)
    return Probe("bwrap", works=True, detail=await detail())


def strength(version: str, controllers: frozenset[str], is_root: bool) -> str:
    """One line on how a box that works is isolated."""
    user = "a throw-away user for each box" if is_root else "boxes run as you"
    missing = {"memory", "pids", "cpu"} - controllers
    if not missing:
        return f"{version}; {user}; memory, processes and processors limited for each box"
    limits = f"no control group for {', '.join(sorted(missing))}"
    if "memory" in missing:
        limits += ": memory of several processes together is not limited"
    return f"{version}; {user}; {limits}"
