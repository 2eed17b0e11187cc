"""What the daemon is asked for when it makes a box. Pure data; knows no daemon.

Two users share a box: the commands run as ``COMMAND_USER``, the program that keeps the container
alive as ``KEEPER_USER``, so that no command can end it, and ``kill -9 -1`` by the first user ends
all commands and nothing else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from agentsd.boxes import MIB, BoxLimits, BoxSpec

COMMAND_USER = "1000:1000"
KEEPER_USER = "65534:65534"
WORKDIR = "/work"
RUN_LABEL, EXPIRES_LABEL = "agentsd.run", "agentsd.expires"
BUILDER_LABEL = "agentsd.built-by"
"""Of images. Every container of an image inherits its labels, so it must not be ``RUN_LABEL``."""
NUM_OWN_PROCESSES = 5
"""init, the keeper with its timer (two processes), and the shell around a command."""
MAX_SHM_BYTES = 64 * MIB
OPEN_FILES = 4096

KEEPER = "(sleep {lifetime_s}; kill -s KILL $$) & read -r _"
"""Ends with its standard input, which closes with the process that opened the box, or in time."""


def labels(run: str, expires: float) -> dict[str, str]:
    """By these ``agentsd gc`` finds what a crash left."""
    return {RUN_LABEL: run, EXPIRES_LABEL: str(math.ceil(expires))}


def container_config(
    spec: BoxSpec, image: str, *, volumes: Sequence[str], profile: str, lifetime_s: float
) -> dict[str, Any]:
    """The body of a create request. ``volumes`` are those the image declares."""
    marks = labels(spec.run, time.time() + lifetime_s)
    return {
        "Image": image,
        "Entrypoint": ["/bin/sh", "-c", KEEPER.format(lifetime_s=math.ceil(lifetime_s))],
        "Cmd": [],
        "User": KEEPER_USER,
        "Env": [f"{name}={value}" for name, value in {"HOME": WORKDIR, **spec.env}.items()],
        "WorkingDir": WORKDIR,
        "Hostname": "sandbox",
        "Labels": marks,
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdin": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "HostConfig": host_config(spec, profile, marks, volumes),
    }


def host_config(
    spec: BoxSpec, profile: str, marks: Mapping[str, str], volumes: Sequence[str]
) -> dict[str, Any]:
    """What keeps the box closed and within its limits."""
    limits = spec.limits
    return {
        "NetworkMode": "none",
        "IpcMode": "private",
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges", f"seccomp={profile}"],
        "PidsLimit": limits.num_processes + NUM_OWN_PROCESSES,
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        "NanoCpus": int(limits.cpus * 1e9),
        "ShmSize": min(limits.workdir_bytes, MAX_SHM_BYTES),
        "Ulimits": [
            {"Name": "nofile", "Soft": OPEN_FILES, "Hard": OPEN_FILES},
            {"Name": "core", "Soft": 0, "Hard": 0},
            # For files that are mostly holes; a folder is full long before.
            {"Name": "fsize", "Soft": 2 * limits.workdir_bytes, "Hard": 2 * limits.workdir_bytes},
        ],
        "Init": True,
        "AutoRemove": True,
        "LogConfig": {"Type": "none"},
        "Mounts": [
            _in_memory(limits, marks, WORKDIR, "uid=1000,gid=1000,mode=0755"),
            # What the image declares to be a volume would else be a folder of no fixed size.
            *(
                _in_memory(limits, marks, path, "mode=1777")
                for path in {"/tmp", *volumes} - {WORKDIR}
            ),
            *_read_only(spec.mounts),
        ],
    }


def _in_memory(
    limits: BoxLimits, marks: Mapping[str, str], path: str, options: str
) -> dict[str, Any]:
    """A volume rather than a plain tmpfs: only a volume can be copied out of and into."""
    size = f"size={limits.workdir_bytes},nr_inodes={limits.num_files},nosuid,nodev"
    driver_options = {"type": "tmpfs", "device": "tmpfs", "o": f"{size},{options}"}
    return {
        "Type": "volume",
        "Target": path,
        "VolumeOptions": {
            "NoCopy": True,
            "Labels": dict(marks),
            "DriverConfig": {"Name": "local", "Options": driver_options},
        },
    }


def _read_only(mounts: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"Type": "bind", "Source": source, "Target": target, "ReadOnly": True}
        for target, source in mounts.items()
    ]
