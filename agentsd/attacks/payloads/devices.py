"""Devices and the kernel's switches. Runs inside the box; files are opened, never written."""

from __future__ import annotations

import os
import stat

from agentsd.attacks.inside import Bait, Report, attempt, attempt_each, open_to_write

DISKS = ("vda", "vdb", "sda", "sdb", "nvme0n1", "xvda", "mmcblk0", "dm-0", "loop0", "loop-control")
SWITCHES = ("sysrq-trigger", "sys/kernel/modprobe", "sys/kernel/hotplug", "sys/kernel/panic")
SWITCHES += ("sys/kernel/hostname", "sys/vm/drop_caches", "sys/vm/overcommit_memory")
SWITCHES += ("sys/net/ipv4/ip_forward", "sys/fs/binfmt_misc/register", "sys/kernel/kptr_restrict")
SWITCHES += ("sys/kernel/randomize_va_space", "sys/kernel/yama/ptrace_scope", "sys/fs/file-max")
SYSTEM = ("kernel/uevent_helper", "power/state", "kernel/mm/transparent_hugepage/enabled")
SYSTEM += ("module/printk/parameters/time", "devices/system/cpu/cpu1/online", "fs/selinux/enforce")
CGROUP_FILES = ("release_agent", "cgroup.procs", "tasks", "memory.max", "pids.max", "cpu.max")
CGROUP_FILES += ("memory.limit_in_bytes", "devices.allow", "cgroup.kill", "cgroup.subtree_control")
MAX_FOLDERS = 2000


def kernel_memory(bait: Bait) -> Report:
    """Read the kernel's memory and log: /dev/mem, /dev/kmem, /dev/port, /proc/kcore, /dev/kmsg"""
    names = ("/dev/mem", "/dev/kmem", "/dev/port", "/proc/kcore", "/proc/kmsg", "/dev/kmsg")
    return attempt_each(_open_to_read, names)


def disks(bait: Bait) -> Report:
    """Open the host's disks"""
    return attempt_each(_open_to_read, [f"/dev/{name}" for name in DISKS])


def powerful_devices(bait: Bait) -> Report:
    """Open /dev/kvm, fuse, net/tun, uinput, vhost-vsock, mapper/control, dri and others"""
    names = ("kvm", "fuse", "net/tun", "uinput", "vhost-vsock", "vhost-net", "mapper/control")
    names += ("dri/card0", "nvidia0", "ppp", "btrfs-control", "rfkill", "snapshot", "userfaultfd")
    return attempt_each(_open_to_read, [f"/dev/{name}" for name in names])


def make_device(bait: Bait) -> Report:
    """Make a device node (the memory device's numbers) and open it"""

    def act(path: str) -> str:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 1))
        try:
            return _open_to_read(path)
        finally:
            os.unlink(path)

    return attempt_each(act, ["node", "/tmp/node", "/dev/shm/node"])


def core_pattern(bait: Bait) -> Report:
    """Open /proc/sys/kernel/core_pattern for writing: host root for whoever may"""
    return attempt(lambda: open_to_write("/proc/sys/kernel/core_pattern"))


def kernel_switches(bait: Bait) -> Report:
    """Open modprobe, sysrq-trigger, drop_caches, binfmt_misc, ip_forward, ... for writing"""
    return attempt_each(open_to_write, [f"/proc/{name}" for name in SWITCHES])


def system_files(bait: Bait) -> Report:
    """Open files of /sys for writing: uevent_helper, power, modules, processors"""
    return attempt_each(open_to_write, [f"/sys/{name}" for name in SYSTEM])


def cgroup_files(bait: Bait) -> Report:
    """Leave or widen the cgroup: open release_agent, cgroup.procs, memory.max, ... for writing"""
    paths = []
    for count, (folder, _, files) in enumerate(os.walk("/sys/fs/cgroup")):
        paths += [os.path.join(folder, name) for name in files if name in CGROUP_FILES]
        if count > MAX_FOLDERS:
            break
    return attempt_each(open_to_write, paths or ["/sys/fs/cgroup/cgroup.procs"])


def _open_to_read(path: str) -> str:
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    return f"{path} opens"
