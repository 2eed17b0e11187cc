"""Run tests in child processes and report what they said, one line of JSON each.

Started as ``python3 -I -S -c SOURCE`` with a job on its input. This process never runs the code
under test, and its memory and files are closed to its children, so what it reports is what came
through each child's own pipe before the deadline. Whether that is the truth, it does not know.
"""

import collections
import contextlib
import ctypes
import dataclasses
import functools
import importlib
import json
import os
import select
import signal
import sys
import time
import typing
import unittest

# Loaded here, they need not be loaded again in every child.
PRELOADED = (collections, dataclasses, functools, typing, unittest)
PR_SET_DUMPABLE = 4
MAX_BYTES = 1 << 20
"""Of what one test may say."""


def main():
    """Run the job on standard input."""
    job = json.loads(sys.stdin.buffer.read())
    # Children inherit it: neither they nor what they leave behind can reach each other's pipes
    # or this process's output through /proc.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    ask = answer_questions if "source" in job else run_unittest
    os.write(1, b"ready\n")
    for test in job["tests"]:
        said, problem = in_child(lambda test=test: ask(job, test), job["seconds"])
        report = {"test": test, "said": said, "problem": problem}
        os.write(1, json.dumps(report).encode() + b"\n")
        if problem == "timeout":
            return  # one hanging test fails them all, and the others may hang as long


def in_child(function, seconds):
    """What the function returned in a process of its own, and why it said nothing."""
    reader, writer = os.pipe()
    token = os.urandom(16).hex().encode()
    child = os.fork()
    if child == 0:
        os.close(reader)
        child_main(function, writer, token)
    os.close(writer)
    text, is_late = collect(reader, time.monotonic() + seconds)
    os.close(reader)
    end_group(child)
    os.waitpid(child, 0)
    if is_late:
        return None, "timeout"
    try:
        return json.loads(text.removeprefix(token) if text.startswith(token) else b""), None
    except (ValueError, RecursionError):
        return None, "it ended without a result"


def child_main(function, writer, token):
    """Run the function and leave, whatever happens.

    The token comes in front of what it returned, so that writing to every pipe is no result.
    """
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        text = token + json.dumps(function()).encode()
        while text:
            text = text[os.write(writer, text) :]
    finally:
        os._exit(0)


def end_group(child):
    """Kill the child and what stayed in its process group; the box ends the rest."""
    for end, target in ((os.killpg, child), (os.kill, child)):
        with contextlib.suppress(OSError):  # it is gone, or has not made its group yet
            end(target, signal.SIGKILL)


def collect(reader, deadline):
    """All bytes until the other end is closed, and whether the deadline passed before."""
    text = b""
    while len(text) <= MAX_BYTES:
        wait = deadline - time.monotonic()
        if wait <= 0 or not select.select([reader], [], [], wait)[0]:
            return text, True
        data = os.read(reader, 65536)
        if not data:
            break
        text += data
    return text, False


def use_path(path):
    """Let modules of the tree be imported, behind those of Python itself."""
    sys.path.append(path)
    sys.dont_write_bytecode = True


# --- questions: the expected answers are not here --------------------------------------------


def answer_questions(job, test):
    """The values that a test's questions give, in order; fewer when one of them fails."""
    use_path(job["path"])
    answers = []

    def raised(error):
        names = [each.__name__ for each in type(error).__mro__] if error else []
        answers.append({"raises": names})

    names: dict[str, typing.Any] = {"__name__": "questions"}
    try:
        exec(compile(job["source"], "questions", "exec"), names)
        names[test](lambda value: answers.append(plain(value)), raised)
    except BaseException as error:  # noqa: BLE001 - whatever it raises is the result
        return {"answers": answers, "error": type(error).__name__}
    return {"answers": answers, "error": None}


def plain(value):
    """A value as JSON that keeps its type; what is not plain becomes something equal to nothing."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple, set):
        return {type(value).__name__: [plain(each) for each in value]}
    if type(value) is dict:
        return {"dict": [[plain(key), plain(each)] for key, each in value.items()]}
    return {"other": type(value).__name__}


# --- unittest: the assertions run beside the code under test ----------------------------------


def run_unittest(job, test):
    """Whether one test, ``module.Class.method``, ran and passed."""
    module_name, name = test.split(":")
    before = fingerprint()
    use_path(job["path"])
    result = unittest.TestResult()
    try:
        module = importlib.import_module(module_name)
        unittest.TestLoader().loadTestsFromName(name, module).run(result)
    except BaseException as error:  # noqa: BLE001 - whatever it raises is the result
        return {"passed": False, "error": type(error).__name__}
    if fingerprint() != before:
        return {"passed": False, "error": "unittest was changed while it ran"}
    ran = result.testsRun == 1 and not result.skipped and not result.expectedFailures
    return {"passed": ran and result.wasSuccessful(), "error": None}


def fingerprint():
    """What makes up the verdict of ``unittest``, to see whether the code under test replaced it."""
    classes = (unittest.TestCase, unittest.TestResult, unittest.TestSuite, unittest.TestLoader)
    parts = [(each, dict(vars(each))) for each in classes]
    return [
        (each, name, id(value), id(getattr(value, "__code__", None)))
        for each, held in parts
        for name, value in sorted(held.items())
        if callable(value)
    ]


if __name__ == "__main__":
    main()
