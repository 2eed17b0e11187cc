"""The seccomp profile of Docker boxes: an allow-list for one architecture.

It is narrower than an engine's own default, which differs from version to version: no vsock, no
ptrace, no keyring, no io_uring, no foreign architecture on any engine. Knows nothing of containers.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from agentsd.errors import ConfigError

ENOSYS = 38
AF_NETLINK, NETLINK_ROUTE = 16, 0
NEW_NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET together."""
ARCHITECTURES = {
    "x86_64": ("x86_64", "SCMP_ARCH_X86_64"),
    "amd64": ("x86_64", "SCMP_ARCH_X86_64"),
    "aarch64": ("aarch64", "SCMP_ARCH_AARCH64"),
    "arm64": ("aarch64", "SCMP_ARCH_AARCH64"),
}


def seccomp_profile(architecture: str) -> str:
    """The profile, as the engine's ``seccomp=`` option takes it, for a machine name of its host.

    Raises ``ConfigError`` for an architecture whose system calls are not listed.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ConfigError(f"docker engine: no seccomp profile for {architecture}, only for {known}")
    name, constant = ARCHITECTURES[architecture]
    data = json.loads(files("agentsd.sandbox").joinpath("docker_seccomp.json").read_text())
    names = [call for group in data["allowed"].values() for call in group]
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        # One architecture only: a 32-bit or x32 call would come past the rules on arguments.
        "architectures": [constant],
        "syscalls": [_allow(names + data["allowed_on"][name]), *_on_arguments(data)],
    }
    return json.dumps(profile)


def _on_arguments(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Rules for the calls whose arguments decide."""
    families = data["socket_families"].values()
    return [
        *(_allow(["socket"], (0, family)) for family in families),
        # What getifaddrs needs; the other netlink protocols reach far into the kernel.
        _allow(["socket"], (0, AF_NETLINK), (2, NETLINK_ROUTE)),
        *(_allow(["personality"], (0, value)) for value in data["personalities"]),
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [
                {
                    "index": 0,
                    "value": NEW_NAMESPACE_FLAGS,
                    "valueTwo": 0,
                    "op": "SCMP_CMP_MASKED_EQ",
                }
            ],
        },
        # Its flags are behind a pointer; with ENOSYS the C library falls back on clone.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
    ]


def _allow(names: list[str], *equal: tuple[int, int]) -> dict[str, Any]:
    """Allow the calls where each argument (index, value) is equal."""
    args = [{"index": index, "value": value, "op": "SCMP_CMP_EQ"} for index, value in equal]
    return {"names": names, "action": "SCMP_ACT_ALLOW", "args": args}
