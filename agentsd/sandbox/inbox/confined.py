"""Starts one program under the box's limits, with the stdin and stdout it was given."""

from __future__ import annotations

import marshal
import os
import sys

from agentsd.sandbox.inbox.confinement import become


def main():
    """Become the program that the arguments name, after the limits. Never returns."""
    limits, *argv = sys.argv[1:]
    become(argv, marshal.loads(bytes.fromhex(limits)), dict(os.environ))
