"""A program in a fresh bwrap box, with its stdin and stdout on the host.

For whatever starts a command itself and can only be given words, such as an MCP client. Knows
nothing of what the program says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType

from agentsd.boxes import BoxSpec
from agentsd.errors import ConfigError
from agentsd.sandbox import cgroups, interpreter
from agentsd.sandbox.bwrap_plan import confined_program, plan, whole_limits
from agentsd.sandbox.bwrap_process import launch_command
from agentsd.sandbox.throwaway import users

NOTHING: Mapping[str, str] = MappingProxyType({})


@asynccontextmanager
async def stdio_command(
    argv: Sequence[str], spec: BoxSpec, *, writable: Mapping[str, str] = NOTHING
) -> AsyncIterator[list[str]]:
    """The words that run ``argv`` in a box of its own, as often as wanted, until the context ends.

    They have to be started by this process, which must have ended what it started before it leaves
    the context; killing the process it started ends all in the box. Each box has the environment of
    ``spec`` and nothing else; the working directory is an empty ``/work``. ``writable`` maps a path
    in the box to a folder of the host that the program may change, without a limit on size. All
    programs of one context share the limits on memory, processes and processors.

    Raises ``ConfigError`` for what cannot be mounted or started, and where bwrap is missing. That
    the machine cannot isolate shows only when the command runs: ask ``BwrapBackend.probe`` first.
    """
    if not argv or any("\0" in word for word in argv):
        raise ConfigError(f"a box needs a program to run, in words without NUL; got {list(argv)}")
    python, uid = interpreter.find(), next(users())
    program = confined_program(python, argv, spec, writable)
    async with cgroups.opened(cgroups.find(), spec.run, whole_limits(spec.limits)) as join:
        with launch_command(python, plan(spec, program, join=join, uid=uid)) as command:
            yield command
