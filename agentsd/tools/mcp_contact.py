"""What the first connection to a server teaches the later ones: its protocol, and its tools.

Asking an old server for the new protocol takes until the answer that may never come; asking once
is enough. One contact belongs to one description of a server. Knows nothing of transports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp import Client
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from agentsd.errors import InfraError
from agentsd.types import ToolSpec


@dataclass(slots=True)
class Contact:
    """Shared by all connections to one server; empty until the first of them is up."""

    mode: str = "auto"
    """How to negotiate: ``auto`` asks, ``legacy`` and a version do not."""
    server: str = ""
    """The name and version that the server gives itself."""
    protocol: str = ""
    specs: Sequence[ToolSpec] = ()

    def learn(self, client: Client, specs: Sequence[ToolSpec]) -> Sequence[ToolSpec]:
        """Take in what a connection found. Returns the tools in the order of the first contact.

        Raises ``InfraError`` when they are not those of the first contact.
        """
        if not self.specs:
            self.protocol = client.protocol_version or ""
            self.mode = self.protocol if self.protocol in MODERN_PROTOCOL_VERSIONS else "legacy"
            info = client.server_info
            self.server = f"{info.name} {info.version}".strip() if info is not None else ""
            self.specs = tuple(specs)
        elif problem := difference(self.specs, specs):
            raise InfraError(f"it offers other tools than at first: {problem}")
        return self.specs


def difference(known: Sequence[ToolSpec], found: Sequence[ToolSpec]) -> str:
    """How two lists of tools differ, in one line; empty when they do not, whatever their order."""
    before, now = _by_name(known), _by_name(found)
    parts = {
        "gone": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
        "changed": [name for name in before if name in now and before[name] != now[name]],
    }
    return "; ".join(f"{how}: {', '.join(names)}" for how, names in parts.items() if names)


def _by_name(specs: Sequence[ToolSpec]) -> Mapping[str, Mapping[str, Any]]:
    """What a call depends on; a description may change without harm."""
    return {spec.name: dict(spec.input_schema) for spec in specs}
