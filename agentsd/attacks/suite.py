"""The table of all attacks. A new attack is a payload and a line here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from agentsd.attacks.attack import LIMITS, Attack
from agentsd.attacks.drives import (
    beating,
    beside_neighbour,
    flooded,
    interrupted,
    parent_killed,
    plain,
    printed,
    prompt,
    racing,
    seen_from_host,
    taking_snapshot,
    walking_into,
    with_more,
)
from agentsd.attacks.payloads import (
    daemons,
    devices,
    disk_bombs,
    host_files,
    kernel,
    leaks,
    memory_bombs,
    namespaces,
    neighbours,
    network,
    privileges,
    process_bombs,
    terminal,
    tool_api,
)
from agentsd.errors import ConfigError

DEADLINE_S = 2.0
"""Of attacks that want to run past it."""

HOST_FILES = (
    Attack(host_files.read_shadow, plain),
    Attack(host_files.find_credentials, plain),
    Attack(host_files.read_host_tmp, plain),
    Attack(host_files.overwrite_host_tmp, plain),
    Attack(host_files.list_host_tmp, plain),
    Attack(host_files.read_host_shm, plain),
    Attack(host_files.roots_of_processes, plain),
    Attack(host_files.hard_link_in, plain),
    Attack(host_files.write_outside, plain),
    Attack(host_files.change_programs, plain),
)
LEAKS = (
    Attack(leaks.own_environment, plain),
    Attack(leaks.environments, plain),
    Attack(leaks.command_lines, plain),
    Attack(leaks.signal_host_process, plain),
    Attack(leaks.inherited_descriptors, plain),
    Attack(leaks.descriptors_of_the_box, plain),
    Attack(leaks.kernel_addresses, plain),
)
NETWORK = (
    Attack(network.tcp_to_host, plain),
    Attack(network.tcp6_to_host, plain),
    Attack(network.name_lookup, plain),
    Attack(network.route_outside, plain),
    Attack(network.abstract_socket, plain),
    Attack(network.unix_socket, plain),
    Attack(network.container_sockets, plain),
    Attack(network.vsock, plain),
    Attack(network.kernel_crypto, plain),
    Attack(network.bluetooth, plain),
    Attack(network.packet, plain),
    Attack(network.raw_ip, plain),
    Attack(network.raw_ip6, plain),
    Attack(network.rare_families, plain),
    Attack(network.interfaces, plain),
    Attack(network.change_interfaces, plain),
)
NAMESPACES = (
    Attack(namespaces.unshare_user, plain),
    Attack(namespaces.unshare_others, plain),
    Attack(namespaces.clone_user, plain),
    Attack(namespaces.join_namespaces, plain),
    Attack(namespaces.mount, plain),
    Attack(namespaces.remount_writable, plain),
    Attack(namespaces.unmount, plain),
    Attack(namespaces.pivot_root, plain),
    Attack(namespaces.chroot, plain),
    Attack(namespaces.new_mount_api, plain),
    Attack(namespaces.clone_mounts, plain),
    Attack(namespaces.mount_attributes, plain),
    Attack(namespaces.open_by_handle, plain),
)
KERNEL = (
    Attack(kernel.io_uring, plain),
    Attack(kernel.bpf, plain),
    Attack(kernel.userfaultfd, plain),
    Attack(kernel.perf_events, plain),
    Attack(kernel.keyrings, plain),
    Attack(kernel.add_key, plain),
    Attack(kernel.load_module, plain),
    Attack(kernel.unload_module, plain),
    Attack(kernel.kexec, plain),
    Attack(kernel.reboot, plain),
    Attack(kernel.set_clock, plain),
    Attack(kernel.swap, plain),
    Attack(kernel.accounting, plain),
    Attack(kernel.set_host_name, plain),
    Attack(kernel.io_ports, plain),
    Attack(kernel.kernel_log, plain),
    Attack(kernel.no_randomization, plain),
    Attack(kernel.x32_calls, plain),
    Attack(kernel.ia32_calls, plain),
    Attack(kernel.ia32_vsock, plain),
)
PRIVILEGES = (
    Attack(privileges.become_root, plain),
    Attack(privileges.run_as_host_root, seen_from_host),
    Attack(privileges.hold_capabilities, plain),
    Attack(privileges.set_uid_programs, plain),
    Attack(privileges.raise_own_limits, plain),
    Attack(privileges.raise_priority, plain),
    Attack(privileges.trace_the_box, plain),
    Attack(privileges.read_memory_of_the_box, plain),
    Attack(privileges.open_memory_of_the_box, plain),
    Attack(privileges.steal_descriptors, plain),
    Attack(privileges.kill_the_box, plain, may_die=True),
    Attack(privileges.forge_answers, plain, may_die=True),
)
DEVICES = (
    Attack(devices.kernel_memory, plain),
    Attack(devices.disks, plain),
    Attack(devices.powerful_devices, plain),
    Attack(devices.make_device, plain),
    Attack(devices.core_pattern, plain),
    Attack(devices.kernel_switches, plain),
    Attack(devices.system_files, plain),
    Attack(devices.cgroup_files, plain),
)
BOMBS = (
    Attack(process_bombs.fork_bomb, plain, may_die=True, is_heavy=True),
    Attack(process_bombs.growing_fork_bomb, plain, may_die=True, is_heavy=True),
    Attack(process_bombs.thread_bomb, plain, may_die=True, is_heavy=True),
    Attack(
        process_bombs.processor_share,
        plain,
        is_heavy=True,
        limits=dataclasses.replace(LIMITS, cpus=0.5),
    ),
    Attack(process_bombs.endless_loop, plain, may_die=True, is_heavy=True, timeout_s=DEADLINE_S),
    Attack(memory_bombs.memory_bomb, plain, may_die=True, is_heavy=True, timeout_s=40),
    Attack(memory_bombs.memory_bomb_of_many, plain, may_die=True, is_heavy=True, timeout_s=40),
    Attack(memory_bombs.protected_memory_bomb, plain, may_die=True, is_heavy=True, timeout_s=40),
    Attack(memory_bombs.memory_file_bomb, plain, may_die=True, is_heavy=True, timeout_s=40),
    Attack(memory_bombs.shared_memory_bomb, plain, may_die=True, is_heavy=True, timeout_s=40),
    Attack(disk_bombs.disk_bomb, plain, may_die=True, is_heavy=True),
    Attack(disk_bombs.tmp_bomb, plain, may_die=True, is_heavy=True),
    Attack(disk_bombs.shm_bomb, plain, may_die=True, is_heavy=True),
    Attack(disk_bombs.inode_bomb, plain, may_die=True, is_heavy=True),
    Attack(disk_bombs.descriptor_bomb, plain, may_die=True, is_heavy=True),
)
DAEMONS = (
    Attack(daemons.background_process, prompt),
    Attack(daemons.daemon, prompt),
    Attack(daemons.daemon_that_holds_the_output, prompt),
    Attack(daemons.deaf_process, plain, may_die=True, timeout_s=DEADLINE_S),
    Attack(daemons.restarting_daemon, beating, may_die=True, timeout_s=DEADLINE_S),
    Attack(daemons.kill_the_watchdog, plain, may_die=True, timeout_s=DEADLINE_S),
    Attack(daemons.cancelled_call, interrupted),
    Attack(daemons.killed_parent, parent_killed),
)
TERMINAL = (
    Attack(terminal.type_into_terminal, plain),
    Attack(terminal.paste_into_console, plain),
    Attack(terminal.take_terminal, plain),
    Attack(terminal.escape_sequences, printed),
    Attack(terminal.flood_stdout, flooded, is_heavy=True, timeout_s=60),
    Attack(terminal.flood_stderr, flooded, is_heavy=True, timeout_s=60),
)
PIPES = tuple(f"/proc/self/fd/{number}" for number in range(10))
TOOL_API = (
    Attack(tool_api.link_to_read, walking_into("trap", "/work/trap", write=False)),
    Attack(tool_api.link_to_write, walking_into("trap", "/work/trap", read=False)),
    Attack(tool_api.linked_folder, walking_into("trap/{name}", "trap/../{name}", "trap/new")),
    Attack(tool_api.dotted_path, walking_into("../../../..{marker}", "/work/../..{marker}")),
    Attack(tool_api.absolute_path, walking_into("{marker}", "/{marker}", "/proc/1/root{marker}")),
    Attack(tool_api.path_with_nul, walking_into("{marker}\0", "\0{marker}", "a\0/../{marker}")),
    Attack(tool_api.swapped_folder, racing),
    Attack(
        tool_api.environment_of_reader,
        walking_into("/proc/self/environ", "/proc/1/environ", write=False),
    ),
    Attack(tool_api.descriptors_of_reader, walking_into(*PIPES)),
    Attack(tool_api.pipe_to_read, walking_into("trap")),
    Attack(tool_api.device_nodes, walking_into("/dev/full", "/dev/tty", "/dev/stdin", "/dev/zero")),
    Attack(tool_api.endless_file, walking_into("trap", write=False), is_heavy=True),
    Attack(tool_api.huge_file, walking_into("trap", write=False), is_heavy=True),
    Attack(tool_api.huge_snapshot, taking_snapshot, is_heavy=True),
    Attack(tool_api.deep_folders, taking_snapshot, is_heavy=True),
    Attack(tool_api.full_disk, with_more, is_heavy=True),
)
NEIGHBOURS = (
    Attack(neighbours.files_of_a_neighbour, beside_neighbour),
    Attack(neighbours.processes_of_a_neighbour, beside_neighbour),
    Attack(neighbours.sockets_of_a_neighbour, beside_neighbour),
    Attack(neighbours.memory_of_a_neighbour, beside_neighbour),
)
ATTACKS: tuple[Attack, ...] = (
    *HOST_FILES,
    *LEAKS,
    *NETWORK,
    *NAMESPACES,
    *KERNEL,
    *PRIVILEGES,
    *DEVICES,
    *BOMBS,
    *DAEMONS,
    *TERMINAL,
    *TOOL_API,
    *NEIGHBOURS,
)
"""Every attack, in the order of the table."""


def named(names: Iterable[str]) -> tuple[Attack, ...]:
    """The attacks with these names. Raises ``ConfigError`` for a name that does not exist."""
    known = {attack.name: attack for attack in ATTACKS}
    if unknown := sorted(set(names) - known.keys()):
        raise ConfigError(f"no attack is named {unknown[0]!r}; see agentsd.attacks.suite.ATTACKS")
    return tuple(known[name] for name in names)
