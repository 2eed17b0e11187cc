"""The exceptions of agentsd.

    AgentsdError
    ├── UsageError            the user can fix it: one clear line, exit code 2
    │   ├── ConfigError       a recipe, an option, a registry name
    │   └── DataError         a trajectory, task or findings file
    ├── TokenError            token space refused: re-rendering, or a span that is not exact
    ├── StorageError          a file cannot be written: what was written before is kept
    └── InfraError            a server, sandbox or engine failed: the episode is void

Knows nothing of how an error is shown; ``cli`` does that.
"""


class AgentsdError(Exception):
    """Base of everything agentsd raises on purpose."""


class UsageError(AgentsdError, ValueError):
    """The caller can fix it. The message says what, where, expected, next."""


class ConfigError(UsageError):
    """A recipe, option or name is wrong."""


class DataError(UsageError):
    """A file that was read is wrong."""


class TokenError(AgentsdError, ValueError):
    """Token ids would no longer be the source of truth, or text does not map to tokens exactly."""


class StorageError(AgentsdError, RuntimeError):
    """A file cannot be written, the disk is full for instance; whole lines before it are kept."""


class InfraError(AgentsdError, RuntimeError):
    """Not the policy's fault: the episode is void and counted by cause, never trained on."""
