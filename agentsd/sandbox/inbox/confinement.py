"""What every command in a box starts with: its limits, and no trace of the Python that started it.

Knows nothing of who asked for the command.
"""

from __future__ import annotations

import _signal as signal  # pyright: ignore[reportMissingImports] - see ``processes``
import ctypes
import os
import resource

PR_SET_DUMPABLE = 4
MISSING, NOT_EXECUTABLE = 127, 126
WORK = "/work"


def become(argv, rlimits, env):
    """Become the command, or exit as a shell does when it cannot be run. Never returns."""
    code, reason = NOT_EXECUTABLE, "cannot be started"
    try:
        _confine(rlimits)
        os.chdir(WORK)
        os.execvpe(argv[0], argv, env)
    except FileNotFoundError:
        code, reason = MISSING, "command not found"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    finally:
        os.write(2, os.fsencode(argv[0]) + b": " + reason.encode() + b"\n")
        os._exit(code)


def _confine(rlimits):
    """Limits that every process inherits, and the first place in line when memory runs out."""
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python itself
        signal.signal(ignored, signal.SIG_DFL)
    # A process that is not dumpable does not own its files in /proc; exec resets it in any case.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    for name, value in rlimits.items():
        limit = getattr(resource, name)
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
