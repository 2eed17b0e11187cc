"""Take out of the policy's tree what could decide tests without being what is tested.

Knows nothing of how tests are run.
"""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentsd.interfaces import Sandbox
from agentsd_envs.repo.carrying import fill
from agentsd_envs.repo.trees import Files, matching

STEP_S = 120.0

HOOKS = frozenset(
    {
        "conftest.py",
        "pytest.ini",
        ".pytest.ini",
        "tox.ini",
        "setup.cfg",
        "pyproject.toml",
        ".coveragerc",
        "sitecustomize",
        "usercustomize",
        "__pycache__",
        ".local",
        ".pydistutils.cfg",
    }
)
"""Names, also without their last extension, that test tools or Python load by themselves."""
HOOK_ENDINGS = (".pyc", ".pth", ".egg-link")
TEST_TOOLS = frozenset({"pytest", "_pytest", "pluggy", "iniconfig", "nose", "xdist"})

LIST = "chmod -R u+rwX . && find . -mindepth 1 \\( -type d -o -print0 \\)"
FREE = """for path; do
if [ -L "$path" ] || { [ -e "$path" ] && [ ! -d "$path" ]; }; then rm -f -- "$path" || exit 1; fi
done"""
"""Where a folder has to be, no link may lead elsewhere."""


class Unclean(Exception):
    """The tree that was left resists; the message says how."""


@dataclass(frozen=True, slots=True)
class Original:
    """What the task knows of its own tree."""

    fresh: Files
    """Files that are as the task has them when the tests run, whatever the policy did to them."""
    test_globs: tuple[str, ...]
    """Files that match are tests: the policy's own are removed."""
    paths: frozenset[str] = frozenset()
    """Everything in the tree before the policy saw it."""


async def clean(box: Sandbox, original: Original) -> None:
    """Make the tree in ``/work`` one that may be tested.

    Raises ``Unclean`` for a tree that cannot be cleaned, ``InfraError`` for a dead box.
    """
    listing = await _step(box, ["sh", "-c", LIST])
    paths = [
        path.removeprefix("./") for path in listing.decode(errors="surrogateescape").split("\0")
    ]
    fresh = original.fresh
    doomed = unwanted([path for path in paths if path], original)
    folders = sorted({parent for path in fresh for parent in _parents(path)}, key=len)
    if folders:
        await _step(box, ["sh", "-c", FREE, "sh", *folders])
    if doomed or fresh:
        names = "\0".join(f"./{path}" for path in [*doomed, *fresh])
        command = ["xargs", "-0", "rm", "-rf", "--"]
        await _step(box, command, names.encode(errors="surrogateescape"))
    await fill(box, fresh)


def unwanted(paths: Iterable[str], original: Original) -> list[str]:
    """The files of the policy's tree that go before the tests run.

    >>> unwanted(["a.py", "conftest.py", "t/test_a.py", "json.py"], Original({}, ("t/**",)))
    ['conftest.py', 't/test_a.py', 'json.py']
    """
    listed = list(paths)
    tests = set(matching(listed, original.test_globs))
    roots = {"", *(posixpath.dirname(path) for path in original.fresh)}
    own = {_module(path, root) for path in original.paths for root in roots}
    hidden = (sys.stdlib_module_names | TEST_TOOLS) - own
    return [
        path
        for path in listed
        if path in tests or is_hook(path) or any(_module(path, root) in hidden for root in roots)
    ]


def is_hook(path: str) -> bool:
    """Whether some part of a path is loaded by Python or test tools without being asked for."""
    parts = path.split("/")
    names = {*parts, *(part.partition(".")[0] for part in parts if not part.startswith("."))}
    return not HOOKS.isdisjoint(names) or path.endswith(HOOK_ENDINGS)


def _module(path: str, root: str) -> str:
    """The name under which a file is imported from a folder; empty for what is no module."""
    below = path.removeprefix(f"{root}/") if root else path
    is_below = not root or below != path
    is_module = is_below and (below.endswith((".py", ".so")) or "/" in below)
    return below.partition("/")[0].partition(".")[0] if is_module else ""


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: at + 1]) for at in range(len(parts))]


async def _step(box: Sandbox, command: Sequence[str], stdin: bytes = b"") -> bytes:
    result = await box.exec(command, timeout_s=STEP_S, stdin=stdin)
    if result.is_timeout or result.truncated_bytes:
        raise Unclean("it holds more files than can be looked at")
    if result.exit_code:
        reason = result.stderr.decode(errors="replace").strip().splitlines()
        raise Unclean(reason[-1] if reason else f"{command[0]} ended with {result.exit_code}")
    return result.stdout
