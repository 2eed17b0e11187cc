"""Host files. Runs inside the box; writes nothing but the marker that the suite made."""

from __future__ import annotations

import os

from agentsd.attacks.inside import (
    Bait,
    Report,
    attempt,
    attempt_each,
    error_name,
    open_to_write,
    peek,
    processes,
    spill,
    stopped,
    succeeded,
)

PRIVATE = (".ssh", ".aws", ".kube", ".gnupg", ".docker", ".netrc", ".git-credentials", ".pgpass")
PRIVATE += (
    ".bash_history",
    ".python_history",
    ".config",
    ".cache/huggingface",
    ".pypirc",
    ".npmrc",
)
READ_ONLY = ("/", "/etc", "/usr", "/usr/bin", "/bin", "/lib", "/opt", "/var", "/root", "/home")
READ_ONLY += ("/run", "/srv", "/boot", "/mnt", "/dev", "/sys", "/proc")


def read_shadow(bait: Bait) -> Report:
    """Read /etc/shadow"""

    def act() -> str:
        with open("/etc/shadow", "rb") as file:
            return f"{len(file.read(1))} byte is readable"

    return attempt(act)


def find_credentials(bait: Bait) -> Report:
    """Find keys, credentials and histories in /root and /home (they are not opened)"""
    homes = ["/root"]
    if os.path.isdir("/home"):
        homes += [os.path.join("/home", name) for name in os.listdir("/home")]
    return attempt_each(os.stat, [f"{home}/{name}" for home in homes for name in PRIVATE])


def read_host_tmp(bait: Bait) -> Report:
    """Read a file in the host's /tmp"""
    return attempt(lambda: peek(bait.marker))


def overwrite_host_tmp(bait: Bait) -> Report:
    """Overwrite a file in the host's /tmp"""

    def act() -> str:
        with open(bait.marker, "r+b") as file:
            file.write(b"overwritten")
        return f"wrote to {bait.marker}"

    return attempt(act)


def list_host_tmp(bait: Bait) -> Report:
    """Find a host folder by listing /tmp, /var/tmp and /home"""
    wanted = os.path.basename(os.path.dirname(bait.marker))
    for place in (os.path.dirname(os.path.dirname(bait.marker)), "/tmp", "/var/tmp", "/home"):
        if os.path.isdir(place) and wanted in os.listdir(place):
            return succeeded(f"{wanted} is in {place}")
    return stopped("not visible")


def read_host_shm(bait: Bait) -> Report:
    """Read a file in the host's /dev/shm"""
    return attempt(lambda: peek(bait.shm))


def roots_of_processes(bait: Bait) -> Report:
    """Reach the host's files through /proc/PID/root and /proc/PID/cwd of every process"""
    paths = [f"/proc/{pid}/root{bait.marker}" for pid in processes()]
    paths += [f"/proc/{pid}/cwd/{'../' * 40}{bait.marker}" for pid in processes()]
    return attempt_each(peek, paths)


def hard_link_in(bait: Bait) -> Report:
    """Hard-link a host file into the working directory"""

    def act() -> object:
        os.link(bait.marker, "hard")
        return peek("hard")

    return attempt(act)


def write_outside(bait: Bait) -> Report:
    """Create a file in /, /etc, /usr, /opt, /var, /root, /home, /run, /dev and others"""

    def act(folder: str) -> None:
        path = os.path.join(folder, f"agentsd-{bait.key}")
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(path)

    return attempt_each(act, READ_ONLY)


def change_programs(bait: Bait) -> Report:
    """Open programs and libraries of the box for writing"""
    names = ["/usr/bin/python3", "/bin/sh", "/usr/bin/env", "/etc/passwd", "/etc/ld.so.preload"]
    maps = []
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
            maps = [line.split(None, 5)[5].strip() for line in lines if "/" in line]
    except OSError as error:
        spill(error_name(error).encode())
    return attempt_each(open_to_write, sorted({*names, *maps}))
