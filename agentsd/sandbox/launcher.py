"""Prepares the ground for one bwrap and becomes it. Runs alone, with the standard library.

bwrap cannot limit the number of files in a tmpfs, cannot reach host folders below a private parent
once root has given up its rights, and cannot join cgroups. So this program does that first, in a
mount namespace of its own: nothing it mounts is seen outside, and nothing is left when it ends.
Knows nothing of what runs in the box. Any trouble is one line on stderr that begins with
``launcher: ``, and exit code 125.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, SIGKILL = 1, 4, 38, 9
FAILED = 125


class Refused(Exception):
    """A step that this machine does not allow: its name and the system's reason."""


def main(plan) -> None:
    """Carry out the plan and become bwrap. Never returns.

    A plan is the dictionary that ``bwrap_plan`` makes.
    """
    try:
        launch(plan)
    except (Refused, OSError) as problem:
        sys.stderr.write(f"launcher: {problem}\n")
        sys.exit(FAILED)


def launch(plan) -> None:
    """What ``main`` does, raising what went wrong."""
    close_inherited()
    libc = ctypes.CDLL(None, use_errno=True)
    die_with(libc, plan["parent"])
    for path in plan["join"]:
        attempt(f"join cgroup {path}", write, path, b"0")
    enter(libc, plan)
    os.chdir("/")
    descriptors = [memory(plan["seccomp"]), memory(b"".join(b"%b\0" % a for a in plan["options"]))]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    seccomp, options = map(str, descriptors)
    argv = [plan["bwrap"], "--seccomp", seccomp, "--args", options, "--", *plan["command"]]
    attempt(f"start {plan['bwrap']}", os.execve, plan["bwrap"], argv, {})


def close_inherited() -> None:
    """Whatever else the parent left open stays out of the box."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:  # noqa: SIM105 - contextlib costs a box's start more than it is worth
                os.close(int(name))
            except OSError:
                pass  # the descriptor of the listing itself


def die_with(libc, parent: int) -> None:
    """End when the parent does; also when it is gone already."""
    check(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "watch the parent")
    if os.getppid() != parent:
        raise Refused("watch the parent: it is gone")


def enter(libc, plan) -> None:
    """A mount namespace with the box's folders in it, as the box's user."""
    uid = plan["uid"]
    if uid is not None and libc.unshare(CLONE_NEWNS) == 0:
        stage(libc, plan, uid)
        become(libc, uid, plan["parent"])
        return
    if uid is not None and ctypes.get_errno() != errno.EPERM:
        raise Refused(f"mount namespace: {os.strerror(ctypes.get_errno())}")
    if uid is not None:
        become(libc, uid, plan["parent"])
    own_uid, own_gid = os.geteuid(), os.getegid()
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "user namespace")
    attempt("user namespace groups", write, "/proc/self/setgroups", b"deny")
    attempt("user namespace map", write, "/proc/self/uid_map", b"%d %d 1" % (own_uid, own_uid))
    attempt("user namespace map", write, "/proc/self/gid_map", b"%d %d 1" % (own_gid, own_gid))
    stage(libc, plan, own_uid)
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges")


def become(libc, uid: int, parent: int) -> None:
    """Give up root for good.

    A change of user makes the kernel forget whose death ends this process, and that it owns its
    own files in ``/proc``.
    """
    attempt("drop groups", os.setgroups, [])
    attempt("change group", os.setresgid, uid, uid, uid)
    attempt("change user", os.setresuid, uid, uid, uid)
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges")
    check(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "own its files in /proc")
    die_with(libc, parent)


def stage(libc, plan, owner: int) -> None:
    """Mount what bwrap will bind, below a folder that only this namespace sees so."""
    root = plan["stage"]
    os.umask(0o022)
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
    tmpfs(libc, root, f"size=16m,mode=755,uid={owner},gid={owner}")
    for name, mode, size, files in plan["tmpfs"]:
        os.mkdir(f"{root}/{name}")
        settings = f"size={size},nr_inodes={files},mode={mode},uid={owner},gid={owner}"
        tmpfs(libc, f"{root}/{name}", settings)
    os.mkdir(f"{root}/box")
    for name, content in plan["files"]:
        os.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
        write(f"{root}/{name}", content, os.O_CREAT)
    for source, name in plan["binds"]:
        target = f"{root}/{name}"
        attempt(f"mount {source}", place, source, target)
        flags = MS_BIND | MS_REC
        result = libc.mount(os.fsencode(source), os.fsencode(target), None, flags, None)
        check(result, f"mount {source}")


def place(source: str, target: str) -> None:
    """An empty folder or file to mount ``source`` on."""
    if os.path.isdir(source):
        os.mkdir(target)
    else:
        os.stat(source)
        write(target, b"", os.O_CREAT)


def tmpfs(libc, path: str, settings: str) -> None:
    options = ctypes.c_char_p(settings.encode())
    result = libc.mount(b"tmpfs", path.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, options)
    check(result, f"mount tmpfs {path}")


def memory(content: bytes) -> int:
    """A descriptor from which ``content`` can be read."""
    descriptor = os.memfd_create("box")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def write(path: str, content: bytes, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_WRONLY | flags, 0o444)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def attempt(step: str, call, *arguments) -> None:
    try:
        call(*arguments)
    except OSError as error:
        raise Refused(f"{step}: {error.strerror}") from error


def check(result: int, step: str) -> None:
    """For calls of the C library, which give a negative number and set errno."""
    if result < 0:
        raise Refused(f"{step}: {os.strerror(ctypes.get_errno())}")
