"""Serves one box from inside, one request at a time; runs there as process 1.

As process 1 it cannot be signalled by what runs in the box, it inherits every orphan, and its end
is the end of the box. It ends when the host hangs up. Knows nothing of the host but the socket.
"""

from __future__ import annotations

import ctypes
import errno
import os

from agentsd.sandbox.inbox import files
from agentsd.sandbox.inbox.confinement import PR_SET_DUMPABLE
from agentsd.sandbox.inbox.processes import Children, Stuck, run
from agentsd.sandbox.inbox.wire import BROKEN, DONE, ERRNO, ERROR, Gone, Wire


def serve(wire, settings):
    """Answer requests for ever. Raises ``Gone`` when the host hangs up."""
    children = Children()
    wire.reply(DONE)
    while True:
        name, *arguments = wire.request()
        if name == "kill":  # it crossed the end of its command
            continue
        try:
            if name == "exec":
                wire.reply(DONE, *run(wire, children, settings, arguments))
            else:
                FILE_REQUESTS[name](wire, *arguments)
        except OSError as error:
            message = (error.strerror or str(error)).encode()
            wire.reply(ERROR, ERRNO.pack(error.errno or errno.EIO), message)
        except Stuck:
            wire.reply(BROKEN, b"processes in the box cannot be killed")
            return


FILE_REQUESTS = {
    "read": files.read,
    "write": files.write,
    "snapshot": files.snapshot,
    "restore": files.restore,
}


def main():
    """Serve the socket that is this process's stdin."""
    # Keeps the others in the box away from this process's memory and descriptors in /proc.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    wire = Wire(os.dup(0))
    null = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1):
        os.dup2(null, stream)
    try:  # noqa: SIM105 - contextlib costs a box's start more than it is worth
        serve(wire, wire.request()[1])
    except Gone:
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
