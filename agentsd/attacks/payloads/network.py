"""Networks of every family. Runs inside the box.

Traffic goes only to listeners on the loopback address that the suite started; other families are
tested by creating a socket, never by connecting it.
"""

from __future__ import annotations

import os
import socket
import struct

from agentsd.attacks.inside import Bait, Report, attempt, error_name, stopped, succeeded

AF_NETLINK, AF_PACKET, AF_BLUETOOTH, AF_ALG, AF_VSOCK, AF_XDP = 16, 17, 31, 38, 40, 44
OTHER_FAMILIES = {"ax25": 3, "ipx": 4, "x25": 9, "appletalk": 5, "rds": 21, "can": 29, "tipc": 30}
OTHER_FAMILIES |= {"rxrpc": 33, "nfc": 39, "kcm": 41, "qipcrtr": 42, "smc": 43, "xdp": AF_XDP}
NEW_LINK, RTM_DELLINK, RTM_GETLINK, DUMP = 16, 17, 18, 0x301
HARMLESS_HARDWARE = (772, 768, 769, 776, 777, 778, 823)
"""Loopback, and the tunnels that some kernels put into every new namespace."""
IFF_UP = 1
NO_INTERFACE = 0x7FFFFFF0


def _connect(family: int, address: str | tuple[str, int], kind: int = socket.SOCK_STREAM) -> Report:
    def act() -> str:
        with socket.socket(family, kind) as sock:
            sock.settimeout(3)
            sock.connect(address)
            sock.send(b"agentsd")
            return f"sent to {address}"

    return attempt(act)


def _create(family: int, kind: int, protocol: int = 0) -> Report:
    def act() -> str:
        socket.socket(family, kind, protocol).close()
        return f"a socket of family {family}"

    return attempt(act)


def tcp_to_host(bait: Bait) -> Report:
    """Connect to a listener on the host's 127.0.0.1"""
    return _connect(socket.AF_INET, ("127.0.0.1", bait.tcp4))


def tcp6_to_host(bait: Bait) -> Report:
    """Connect to a listener on the host's ::1"""
    if not bait.tcp6:
        return stopped("this host has no ::1")
    return _connect(socket.AF_INET6, ("::1", bait.tcp6))


def name_lookup(bait: Bait) -> Report:
    """Send a DNS query to a name server on the host's 127.0.0.1"""
    query = struct.pack(">HHHHHH", 1, 0x100, 1, 0, 0, 0) + b"\7agentsd\7invalid\0\0\1\0\1"

    def act() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            sock.connect(("127.0.0.1", bait.udp))
            sock.send(query)
            return sock.recv(512)

    return attempt(act)


def route_outside(bait: Bait) -> Report:
    """Find a route to 192.0.2.1 and 2001:db8::1 (a UDP connect, which sends nothing)"""
    reports = []
    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):

        def act(family: int = family, address: str = address) -> str:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((address, 9))
                return f"a route to {address}"

        reports.append(attempt(act))
    return next((each for each in reports if each.ending == "succeeded"), reports[0])


def abstract_socket(bait: Bait) -> Report:
    """Connect to an abstract unix socket of the host"""
    return _connect(socket.AF_UNIX, "\0" + bait.abstract)


def unix_socket(bait: Bait) -> Report:
    """Connect to a unix socket in the host's /tmp"""
    return _connect(socket.AF_UNIX, bait.socket)


def container_sockets(bait: Bait) -> Report:
    """Reach the sockets of docker, containerd, podman, D-Bus or systemd (open for looking only)"""
    paths = ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"]
    paths += ["/run/podman/podman.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"]
    found = [path for path in paths if os.path.exists(path)]
    return succeeded(f"visible: {found}") if found else stopped("not visible")


def vsock(bait: Bait) -> Report:
    """Create an AF_VSOCK socket, which no network namespace confines (never connected)"""
    return _create(AF_VSOCK, socket.SOCK_STREAM)


def kernel_crypto(bait: Bait) -> Report:
    """Create an AF_ALG socket (the kernel's crypto, often a way in)"""
    return _create(AF_ALG, socket.SOCK_SEQPACKET)


def bluetooth(bait: Bait) -> Report:
    """Create an AF_BLUETOOTH socket"""
    return _create(AF_BLUETOOTH, socket.SOCK_RAW, 1)


def packet(bait: Bait) -> Report:
    """Create an AF_PACKET socket, which sees all frames"""
    return _create(AF_PACKET, socket.SOCK_RAW, 0x300)


def raw_ip(bait: Bait) -> Report:
    """Create a raw ICMP socket"""
    return _create(socket.AF_INET, socket.SOCK_RAW, 1)


def raw_ip6(bait: Bait) -> Report:
    """Create a raw ICMPv6 socket"""
    return _create(socket.AF_INET6, socket.SOCK_RAW, 58)


def rare_families(bait: Bait) -> Report:
    """Create sockets of AX.25, IPX, X.25, AppleTalk, RDS, CAN, TIPC, RxRPC, NFC, KCM, XDP, ..."""
    reasons = []
    for name, family in OTHER_FAMILIES.items():
        for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            report = _create(family, kind)
            if report.ending == "succeeded":
                return succeeded(f"a socket of family {name}")
            reasons.append(report.detail)
    return stopped(", ".join(sorted(set(reasons))))


def _netlink(request: bytes) -> bytes:
    """All that the kernel's routing answers. Raises ``OSError``."""
    answer = b""
    with socket.socket(AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.settimeout(2)
        sock.send(request)
        while True:
            part = sock.recv(65536)
            answer += part
            # A dump ends with a message of its own; anything else is one datagram.
            if struct.unpack_from("=H", part, 4)[0] != NEW_LINK:
                return answer


def interfaces(bait: Bait) -> Report:
    """List the interfaces over netlink, looking for one that leads outside"""
    request = struct.pack("=IHHIIBxHiII", 32, RTM_GETLINK, DUMP, 1, 0, 0, 0, 0, 0, 0)
    try:
        answer = _netlink(request)
    except OSError as error:
        return stopped(error_name(error))
    outside = []
    while len(answer) >= 32:
        size, kind = struct.unpack_from("=IH", answer)
        hardware, index, flags = struct.unpack_from("=HiI", answer, 18)
        if kind == NEW_LINK and hardware not in HARMLESS_HARDWARE and flags & IFF_UP:
            outside.append(index)
        answer = answer[max(size + 3 & ~3, 16) :]
    return succeeded(f"interfaces {outside} are up") if outside else stopped("only loopback is up")


def change_interfaces(bait: Bait) -> Report:
    """Ask netlink to delete an interface that does not exist (tells whether it would be allowed)"""
    request = struct.pack("=IHHIIBxHiII", 32, RTM_DELLINK, 5, 1, 0, 0, 0, NO_INTERFACE, 0, 0)

    def act() -> str:
        code = -struct.unpack_from("=i", _netlink(request), 16)[0]
        if code == 1:
            raise PermissionError(code, os.strerror(code))
        return f"netlink answered {code}, not EPERM"

    return attempt(act)
