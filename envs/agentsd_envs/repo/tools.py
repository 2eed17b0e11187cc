"""The tools of a coding task: a shell, and reading, writing, editing and searching files.

Paths are paths in the box, relative ones in ``/work``; what may be touched is the box's business,
not theirs. Knows nothing of tasks or grading.
"""

from __future__ import annotations

import posixpath
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentsd.boxes import ExecResult
from agentsd.errors import InfraError
from agentsd.interfaces import Sandbox, Tool
from agentsd.tools.results import refused
from agentsd.types import ToolCall, ToolResult, ToolSpec

WORK = "/work"
SEARCH_S = 30.0
MAX_MATCHES = 100
MAX_MATCH_CHARS = 240
MAX_PATHS = 400

FIND = 'find "$0" -name .git -prune -o -type f -print'
GREP = 'find "$1" -name .git -prune -o -type f -exec grep -nHE -e "$0" /dev/null {} +'
"""``/dev/null`` is there so that an empty folder gives no usage error."""


class No(Exception):
    """What was asked for cannot be done; the message is for the policy."""


class Late(Exception):
    """What was asked for took too long."""


@dataclass(frozen=True, slots=True)
class Shell:
    """How long commands may take."""

    default_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class BoxTool:
    """A tool that works on one box. Implements ``Tool``."""

    spec: ToolSpec
    function: Callable[[Mapping[str, Any]], Awaitable[str | ToolResult]]

    async def run(self, call: ToolCall) -> ToolResult:
        """Run a call whose arguments satisfy the schema. Raises only ``InfraError``."""
        try:
            said = await self.function(call.arguments or {})
        except No as no:
            return refused(call, str(no), "tool")
        except Late as late:
            return refused(call, str(late), "timeout")
        except OSError as error:
            return refused(call, f"{error.filename}: {error.strerror}", "tool")
        if isinstance(said, str):
            return ToolResult(call.id, said)
        return ToolResult(call.id, said.content, said.structured, said.is_error, said.error_class)


def coding_tools(box: Sandbox, shell: Shell) -> Sequence[Tool]:
    """The six tools over one box."""
    files = _Files(box)
    return (
        BoxTool(shell_spec(shell), _Commands(box, shell).shell),
        BoxTool(READ, files.read),
        BoxTool(EDIT, files.edit),
        BoxTool(WRITE, files.write),
        BoxTool(SEARCH, files.search),
        BoxTool(LIST, files.list),
    )


@dataclass(frozen=True, slots=True)
class _Commands:
    box: Sandbox
    limits: Shell

    async def shell(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The output, and the exit code where it is not 0: a test that fails is no error."""
        timeout_s = float(arguments.get("timeout_s", self.limits.default_s))
        result = await self.box.exec(["sh", "-c", arguments["command"]], timeout_s=timeout_s)
        text = _output(result)
        if result.is_timeout:
            notice = f"Error: killed after {timeout_s:g} s"
            return ToolResult("", f"{text}{notice}", is_error=True, error_class="timeout")
        if result.exit_code:
            text += f"[exit code {result.exit_code}]"
        return ToolResult("", text or "[no output]", {"exit_code": result.exit_code})


@dataclass(frozen=True, slots=True)
class _Files:
    box: Sandbox

    async def read(self, arguments: Mapping[str, Any]) -> str:
        """Lines with their numbers."""
        path = _path(arguments["path"])
        lines = (await self._text(path)).splitlines()
        start = arguments.get("start", 1)
        stop = min(arguments.get("end", len(lines)), len(lines))
        if not lines:
            return "[the file is empty]"
        if not start <= stop:
            raise No(f"{path} has {len(lines)} lines; there are none from {start} to {stop}")
        return "\n".join(f"{at:>5}  {lines[at - 1]}" for at in range(start, stop + 1))

    async def edit(self, arguments: Mapping[str, Any]) -> str:
        """Replace text that stands exactly once."""
        path = _path(arguments["path"])
        text, old, new = await self._text(path), arguments["old"], arguments["new"]
        count = text.count(old)
        if count != 1:
            what = "it must stand there once; copy it exactly" if not count else "add lines to it"
            raise No(f"old stands {count} times in {path}, expected once; {what}")
        if old == new:
            raise No("old and new are the same")
        await self.box.write(path, text.replace(old, new).encode())
        line = text[: text.index(old)].count("\n") + 1
        return f"edited {path} at line {line}"

    async def write(self, arguments: Mapping[str, Any]) -> str:
        """Create or replace a file."""
        path = _path(arguments["path"])
        data = arguments["text"].encode(errors="replace")
        await self.box.write(path, data)
        return f"wrote {len(data)} bytes to {path}"

    async def search(self, arguments: Mapping[str, Any]) -> str:
        """Lines that match, as ``path:line:text``."""
        top = _path(arguments.get("path", "."))
        words = ["sh", "-c", GREP, arguments["pattern"], top]
        lines = _lines(await self._found(words))
        lines = [line for line in lines if not line.startswith("Binary file ")]
        kept = [_short(line.removeprefix(f"{WORK}/")) for line in lines[:MAX_MATCHES]]
        return _listed(kept, len(lines), "matches")

    async def list(self, arguments: Mapping[str, Any]) -> str:
        """Files below a folder, sorted."""
        top = _path(arguments.get("path", "."))
        lines = _lines(await self._found(["sh", "-c", FIND, top]))
        found = sorted(line.removeprefix(f"{WORK}/") for line in lines)
        return _listed(found[:MAX_PATHS], len(found), "files")

    async def _text(self, path: str) -> str:
        """A file's text. Raises ``No`` for one that is not UTF-8: an edit would spoil it."""
        try:
            return (await self.box.read(path)).decode()
        except UnicodeDecodeError as error:
            raise No(f"{path} is not UTF-8 text") from error

    async def _found(self, words: Sequence[str]) -> ExecResult:
        """The output of a search. Nothing found is no error, a wrong pattern is one."""
        result = await self.box.exec(words, timeout_s=SEARCH_S)
        if result.is_timeout:
            raise Late(f"searching took more than {SEARCH_S:g} s")
        if result.exit_code in (126, 127):
            raise InfraError("the box has no find or grep")
        if result.exit_code and not result.stdout and result.stderr.strip():
            raise No(result.stderr.decode(errors="replace").strip().splitlines()[0])
        return result


def _path(path: str) -> str:
    """The path in the box. Raises ``No`` for one that no file can have."""
    if not path or "\0" in path:
        raise No("path is empty" if not path else "path holds a null character")
    return posixpath.normpath(posixpath.join(WORK, path))


def _output(result: ExecResult) -> str:
    """What a command wrote, stdout first, each part ended by a newline."""
    parts = [part.decode(errors="replace") for part in (result.stdout, result.stderr)]
    text = "".join(part if part.endswith("\n") else part + "\n" for part in parts if part)
    if result.truncated_bytes:
        text += f"[{result.truncated_bytes} bytes of output cut]\n"
    return text


def _lines(result: ExecResult) -> list[str]:
    return result.stdout.decode(errors="replace").splitlines()


def _short(line: str) -> str:
    return line if len(line) <= MAX_MATCH_CHARS else line[:MAX_MATCH_CHARS] + " ..."


def _listed(kept: Sequence[str], total: int, what: str) -> str:
    if not kept:
        return f"[no {what}]"
    more = [f"[{total - len(kept)} more {what}]"] if total > len(kept) else []
    return "\n".join([*kept, *more])


def _spec(name: str, description: str, *, read_only: bool = False, **properties: Any) -> ToolSpec:
    """A tool whose parameters are required unless their name ends in ``_``."""
    schema = {
        "type": "object",
        "properties": {key.rstrip("_"): value for key, value in properties.items()},
        "required": [key for key in properties if not key.endswith("_")],
        "additionalProperties": False,
    }
    return ToolSpec(name, description, schema, read_only)


PATH = {"type": "string", "minLength": 1, "description": "Relative to /work"}


def shell_spec(shell: Shell) -> ToolSpec:
    """The shell; its schema names the deadlines."""
    seconds = {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": shell.longest_s,
        "default": shell.default_s,
    }
    return _spec(
        "shell",
        "Run a command with sh in /work. Nothing it starts outlives the call.",
        command={"type": "string", "minLength": 1},
        timeout_s_=seconds,
    )


LINE = {"type": "integer", "minimum": 1}
READ = _spec(
    "read_file",
    "Read a text file, or lines start to end of it, with line numbers.",
    read_only=True,
    path=PATH,
    start_=LINE,
    end_=LINE,
)
EDIT = _spec(
    "edit_file",
    "Replace old, which must stand exactly once in the file, by new.",
    path=PATH,
    old={"type": "string", "minLength": 1},
    new={"type": "string"},
)
WRITE = _spec("write_file", "Create or replace a file.", path=PATH, text={"type": "string"})
SEARCH = _spec(
    "search",
    "Find lines that match an extended regular expression (grep -E), as path:line:text.",
    read_only=True,
    pattern={"type": "string", "minLength": 1},
    path_=PATH,
)
LIST = _spec("list_files", "List the files below a folder.", read_only=True, path_=PATH)
