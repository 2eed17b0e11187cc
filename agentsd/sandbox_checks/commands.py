"""What a box promises about commands. Knows nothing of any backend."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import time
from collections.abc import AsyncIterator

from agentsd.attacks.survivors import left_after
from agentsd.boxes import MIB, BoxLimits, BoxSpec
from agentsd.sandbox_checks.check import PYTHON, RUN, Subject, differs, new_tag, python, shell

ALL_BYTES = bytes(range(256)) * 256
LATE_S = 5.0
"""How long after its deadline a command may return."""


async def exit_codes(subject: Subject) -> AsyncIterator[str]:
    """The command's own exit code, and 128 and the number for a signal"""
    async with subject.box() as box:
        for script, wanted in (("exit 0", 0), ("exit 7", 7), ("exit 255", 255)):
            result = await shell(box, script)
            if problem := differs(f"exit code of {script!r}", result.exit_code, wanted):
                yield problem
            if not 0 < result.seconds < 30:
                yield f"{script!r} took {result.seconds} seconds, it says"
        for number in (9, 15):
            code = f"import os; os.kill(os.getpid(), {number})"
            result = await python(box, code)
            if problem := differs(
                f"exit code after signal {number}", result.exit_code, 128 + number
            ):
                yield problem


async def missing_program(subject: Subject) -> AsyncIterator[str]:
    """127 and a word on stderr, as a shell says it; the box goes on"""
    async with subject.box() as box:
        for name in ("agentsd-no-such-program", "/agentsd/no/such/program"):
            result = await box.exec([name, "word"], timeout_s=10)
            if problem := differs(f"exit code of {name}", result.exit_code, 127):
                yield problem
            if not result.stderr:
                yield f"nothing on stderr says that {name} is missing"
        if (await shell(box, "exit 3")).exit_code != 3:
            yield "the box no longer works afterwards"


async def words(subject: Subject) -> AsyncIterator[str]:
    """Every word of the command arrives as it is"""
    odd = ["", " ", "a b", "--", "-c", "$HOME", "`x`", "a\nb", "'\"\\", "*", "grüße", "x" * 100_000]
    async with subject.box() as box:
        result = await python(box, "import sys; print(ascii(sys.argv[1:]))", *odd)
        if result.stdout.decode().strip() != ascii(odd):
            said = (result.stdout + result.stderr)[:200]
            yield f"words of the command arrive changed: {said!r}"


async def standard_input(subject: Subject) -> AsyncIterator[str]:
    """Input arrives to the byte and then ends, and a command need not read it"""
    async with subject.box() as box:
        result = await box.exec(["cat"], timeout_s=10, stdin=ALL_BYTES)
        if result.stdout != ALL_BYTES:
            yield f"of {len(ALL_BYTES)} bytes of input {len(result.stdout)} came back, or others"
        for size in (0, 8 * MIB):
            result = await box.exec(["true"], timeout_s=10, stdin=b"x" * size)
            if problem := differs(f"exit code with {size} bytes unread", result.exit_code, 0):
                yield problem
        result = await box.exec(["cat"], timeout_s=10)
        if problem := differs("exit code of cat without input", result.exit_code, 0):
            yield problem


async def bytes_of_the_output(subject: Subject) -> AsyncIterator[str]:
    """stdout and stderr are kept apart, to the byte"""
    code = "import os; data = bytes(range(256)) * 256; os.write(1, data); os.write(2, data[::-1])"
    async with subject.box() as box:
        result = await python(box, code)
        if result.stdout != ALL_BYTES:
            yield "stdout is not what was written"
        if result.stderr != ALL_BYTES[::-1]:
            yield "stderr is not what was written"
        if problem := differs("truncated_bytes", result.truncated_bytes, 0):
            yield problem


async def output_cap(subject: Subject) -> AsyncIterator[str]:
    """The first bytes of each stream are kept, the rest is counted"""
    cap = 100_000
    code = "import sys; o, e = sys.stdout.buffer, sys.stderr.buffer; "
    code += "o.write(b'start'); o.write(b'o' * 3_000_000); e.write(b'e' * 2_000_000)"
    async with subject.box(BoxSpec(limits=BoxLimits(output_bytes=cap), run=RUN)) as box:
        result = await python(box, code)
        sizes = (len(result.stdout), len(result.stderr), result.truncated_bytes)
        if problem := differs("kept and thrown away", sizes, (cap, cap, 5_000_005 - 2 * cap)):
            yield problem
        if not result.stdout.startswith(b"start"):
            yield "the start of the output is not what is kept"


async def deadline(subject: Subject) -> AsyncIterator[str]:
    """At the deadline everything the command started is killed, and the box goes on"""
    tag = new_tag()
    code = "import os, signal, sys, time; print('before', flush=True)\n"
    code += "for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n"
    code += "if not os.fork(): os.setsid(); os.fork()\n"
    code += "time.sleep(20)"
    async with subject.box() as box:
        start = time.monotonic()
        result = await box.exec((*PYTHON, code, tag), timeout_s=1.5)
        if not result.is_timeout:
            yield f"exit code at the deadline is {result.exit_code}, must be None"
        if (late := time.monotonic() - start - 1.5) > LATE_S:
            yield f"the command returned {late:.1f} s after its deadline"
        if problem := differs("output before the deadline", result.stdout, b"before\n"):
            yield problem
        if left := await left_after(tag, 2):
            yield f"{len(left)} processes outlive the deadline"
        if (await shell(box, "exit 3")).exit_code != 3:
            yield "the box no longer works afterwards"


async def one_at_a_time(subject: Subject) -> AsyncIterator[str]:
    """Commands that are started together run one after the other"""
    code = "import time; a = time.monotonic(); time.sleep(0.3); print(a, time.monotonic())"
    async with subject.box() as box, asyncio.TaskGroup() as group:
        tasks = [group.create_task(python(box, code)) for _ in range(3)]
    times = sorted(tuple(map(float, task.result().stdout.split())) for task in tasks)
    if any(len(each) != 2 for each in times):
        yield f"commands that are started together do not all run: {times}"
    elif any(first[1] > second[0] for first, second in itertools.pairwise(times)):
        yield "commands of one box run side by side"


async def environment(subject: Subject) -> AsyncIterator[str]:
    """The variables of the spec, nothing of the host's; ``/work`` is empty, own and current"""
    name, value = "AGENTSD_CHECK", "a b\n'ü"
    spec = BoxSpec(env={name: value}, run=RUN)
    code = "import os; print(ascii((os.getcwd(), os.listdir(), dict(os.environ))))"
    os.environ[f"{name}_HOST"] = "of the host"
    try:
        async with subject.box(spec) as box:
            result = await python(box, code)
    finally:
        del os.environ[f"{name}_HOST"]
    said = result.stdout.decode()
    if ascii({name: value})[1:-1] not in said:
        yield f"the variable of the spec is not in {said!r}"
    if "of the host" in said:
        yield "a variable of the host is in the environment"
    if not said.startswith("('/work', [], "):
        yield f"a command starts in {said[:60]!r}, must start in /work, which is empty"


async def state_of_a_box(subject: Subject) -> AsyncIterator[str]:
    """Files stay from one command to the next; ``/tmp`` and the workdir are writable"""
    async with subject.box() as box:
        for path in ("kept", "/tmp/kept", "folder/kept"):
            await shell(box, f"mkdir -p folder; echo kept > {path}")
            result = await shell(box, f"cat {path}")
            if problem := differs(f"{path} in the next command", result.stdout, b"kept\n"):
                yield problem
    async with subject.box(dataclasses.replace(BoxSpec(), run=RUN)) as box:
        result = await shell(box, "ls -A /work /tmp")
        if b"kept" in result.stdout:
            yield "a fresh box has files of an earlier one"
