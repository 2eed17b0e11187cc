"""Namespaces and mounts. Runs inside the box; nothing is mounted even where it is allowed."""

from __future__ import annotations

import ctypes
import errno
import os

from agentsd.attacks.inside import Bait, Report, attempt, attempt_each, in_child, stopped
from agentsd.attacks.kernel_calls import NUMBERS, call, raw

NEW = {"time": 0x80, "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000}
NEW |= {"pid": 0x20000000, "net": 0x40000000}
NEWUSER = 0x10000000
SIGCHLD = 17
AT_FDCWD = -100
MS_REMOUNT, MS_BIND = 32, 4096
OPEN_TREE_CLONE = 1


def unshare_user(bait: Bait) -> Report:
    """Make a user namespace, the door to most kernel bugs"""
    return call("unshare", NEWUSER)


def unshare_others(bait: Bait) -> Report:
    """Make a mount, network, pid, ipc, uts, cgroup or time namespace"""

    def act(name: str) -> str:
        report = call("unshare", NEW[name])
        if report.ending == "succeeded":
            return report.detail
        raise OSError(getattr(errno, report.detail, 0), report.detail)

    return attempt_each(act, NEW)


def clone_user(bait: Bait) -> Report:
    """Make a user namespace with clone3, whose flags a filter cannot see"""

    def act() -> Report:
        # struct clone_args, first version: flags, pidfd, child_tid, parent_tid, exit_signal, ...
        arguments = (ctypes.c_uint64 * 8)(NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0)

        def clone() -> str:
            child = raw(NUMBERS["clone3"], ctypes.byref(arguments), ctypes.sizeof(arguments))
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
            return f"clone3 returned {child}"

        return attempt(clone)

    return in_child(act) if "clone3" in NUMBERS else stopped("no number for clone3")


def join_namespaces(bait: Bait) -> Report:
    """Join the namespaces of pid 1 and of the own process with setns"""

    def act(path: str) -> str:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            report = call("setns", descriptor, 0)
        finally:
            os.close(descriptor)
        if report.ending == "succeeded":
            return report.detail
        raise OSError(getattr(errno, report.detail, 0), report.detail)

    names = ("user", "mnt", "pid", "net", "uts", "ipc", "cgroup")
    return attempt_each(act, [f"/proc/{pid}/ns/{name}" for pid in (1, "self") for name in names])


def mount(bait: Bait) -> Report:
    """Mount a file system (of a type that does not exist)"""
    return call("mount", b"none", b".", b"agentsd-none", 0, None, reached=[errno.ENODEV])


def remount_writable(bait: Bait) -> Report:
    """Remount a folder that is no mount point"""
    os.mkdir("plain")
    flags = MS_REMOUNT | MS_BIND
    return call("mount", b"none", b"plain", None, flags, None, reached=[errno.EINVAL])


def unmount(bait: Bait) -> Report:
    """Unmount a folder that is no mount point"""
    os.mkdir("plain")
    return call("umount2", b"plain", 0, reached=[errno.EINVAL])


def pivot_root(bait: Bait) -> Report:
    """Exchange the root with pivot_root"""
    os.makedirs("new/old")
    return call("pivot_root", b"new", b"new/old", reached=[errno.EINVAL, errno.EBUSY])


def chroot(bait: Bait) -> Report:
    """Change the root, the first half of the classic escape"""
    os.mkdir("jail")
    return in_child(lambda: attempt(lambda: os.chroot("jail")))


def new_mount_api(bait: Bait) -> Report:
    """Mount with fsopen (a type that does not exist) and move_mount (no descriptors)"""
    report = call("fsopen", b"agentsd-none", 0, reached=[errno.ENODEV])
    if report.ending == "succeeded":
        return report
    return call(
        "move_mount", -1, b"", -1, b"", 0x44, reached=[errno.EBADF, errno.EINVAL, errno.ENOENT]
    )


def clone_mounts(bait: Bait) -> Report:
    """Copy the mount tree with open_tree"""
    return call("open_tree", AT_FDCWD, b"/", OPEN_TREE_CLONE)


def mount_attributes(bait: Bait) -> Report:
    """Change nothing with mount_setattr (tells whether a change would be allowed)"""
    attributes = (ctypes.c_uint64 * 4)()
    return call("mount_setattr", AT_FDCWD, b".", 0, ctypes.byref(attributes), 32)


def open_by_handle(bait: Bait) -> Report:
    """Open a file by its handle, which passes by every mount (CAP_DAC_READ_SEARCH)"""

    class Handle(ctypes.Structure):
        _fields_ = (
            ("size", ctypes.c_uint),
            ("type", ctypes.c_int),
            ("bytes", ctypes.c_ubyte * 128),
        )

    handle, mount_id = Handle(size=128), ctypes.c_int()
    named = attempt(
        lambda: raw(
            NUMBERS["name_to_handle_at"],
            AT_FDCWD,
            b".",
            ctypes.byref(handle),
            ctypes.byref(mount_id),
            0,
        )
    )
    if named.ending == "stopped":
        handle.size, handle.type = 8, 1
    folder = os.open(".", os.O_RDONLY)
    try:
        return call(
            "open_by_handle_at", folder, ctypes.byref(handle), os.O_RDONLY, reached=[errno.ESTALE]
        )
    finally:
        os.close(folder)
