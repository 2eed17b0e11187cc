"""Sandbox backends by name. Knows nothing of what they do; a backend loads when it is asked for."""

from __future__ import annotations

import importlib

from agentsd.errors import ConfigError
from agentsd.interfaces import SandboxBackend

BACKENDS = {
    "bwrap": ("agentsd.sandbox.bwrap", "BwrapBackend"),
    "docker": ("agentsd.sandbox.docker", "DockerBackend"),
}


def backend(name: str) -> SandboxBackend:
    """The backend of that name. Raises ``ConfigError`` for an unknown one."""
    if name not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise ConfigError(f"no sandbox named {name!r}; known: {known}")
    module, attribute = BACKENDS[name]
    return getattr(importlib.import_module(module), attribute)()
