"""Six public servers, boxed where they can be. Installed by ``.ci/mcp-servers``."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from agentsd.interfaces import Env
from agentsd.sandbox.bwrap import BwrapBackend
from agentsd.testing import check_taskset
from agentsd.types import Task, ToolCall, ToolResult
from agentsd_envs import mcp

ROOT = Path(__file__).parents[1]
SERVERS = ROOT / ".cache/mcp-servers"
PYPI, NPM = SERVERS / "venv/bin", SERVERS / "npm/node_modules/.bin"
TASK = Task("t", "Do it.")
PAGE = b"<html><body><h1>Library</h1><p>Open on Mondays.</p></body></html>"


@pytest.fixture(scope="module", autouse=True)
def installed_servers() -> None:
    """Both the servers and their boxes must be there."""
    if not (SERVERS / "installed").exists():
        pytest.skip("the public MCP servers are not installed; run .ci/mcp-servers")
    found = asyncio.run(BwrapBackend().probe())
    if not found.works:
        pytest.skip(f"bwrap does not isolate here: {found.detail}; {found.fix}")


@contextlib.asynccontextmanager
async def opened(command: Sequence[str | Path], **options: Any) -> AsyncIterator[Env]:
    """One episode with a public server."""
    words = [str(word) for word in command]
    env = mcp.taskset([TASK], command=words, connect_timeout_s=120.0, **options).env(TASK)
    await env.open()
    try:
        yield env
    finally:
        await env.close()


def names(env: Env) -> list[str]:
    return [spec.name for spec in env.tools]


async def call(env: Env, name: str, **arguments: Any) -> ToolResult:
    return await env.call(ToolCall("c1", name, json.dumps(arguments), arguments))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit and one change."""
    folder = tmp_path / "library"
    folder.mkdir()
    who = ["-c", "user.name=A", "-c", "user.email=a@x.test"]
    (folder / "books.txt").write_text("Emma\n")
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "One book"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    (folder / "books.txt").write_text("Emma\nPersuasion\n")
    return folder


@pytest.fixture
def page() -> Iterator[str]:
    """A web page on this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_page = self.path == "/"
            self.send_response(200 if is_page else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE if is_page else b"")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.anyio
async def test_git_works_on_a_copy_of_a_repository(repository: Path):
    command = [PYPI / "mcp-server-git", "--repository", "/work"]
    async with opened(command, files=str(repository)) as env:
        assert len(names(env)) == 12
        assert "+Persuasion" in (await call(env, "git_diff_unstaged", repo_path="/work")).content
        await call(env, "git_add", repo_path="/work", files=["books.txt"])
        staged = await call(env, "git_diff_staged", repo_path="/work")
        assert "+Persuasion" in staged.content
        outside = await call(env, "git_status", repo_path="/usr")
        assert (outside.is_error, outside.error_class) == (True, "tool")
        missing = await call(env, "git_status")
        assert missing.content == "Error: missing required argument 'repo_path'"
    status = ["git", "status", "--short"]
    left = subprocess.run(status, cwd=repository, check=True, capture_output=True, text=True)
    assert left.stdout == " M books.txt\n", "the folder on this machine is as it was"


@pytest.mark.anyio
async def test_time_converts_between_zones():
    async with opened([PYPI / "mcp-server-time", "--local-timezone", "UTC"]) as env:
        assert names(env) == ["get_current_time", "convert_time"]
        arguments = {"source_timezone": "Europe/London", "target_timezone": "Asia/Tokyo"}
        result = await call(env, "convert_time", time="12:00", **arguments)
        assert json.loads(result.content)["target"]["timezone"] == "Asia/Tokyo"
        wrong = await call(env, "convert_time", time="25:00", **arguments)
        assert (wrong.is_error, wrong.error_class) == (True, "tool")


@pytest.mark.anyio
async def test_fetch_reads_a_page_of_this_machine_without_a_box(page: str):
    command = [PYPI / "mcp-server-fetch", "--allow-private-ips", "--ignore-robots-txt"]
    async with opened(command, sandbox="none") as env:
        assert names(env) == ["fetch"]
        assert "Open on Mondays." in (await call(env, "fetch", url=page)).content
        absent = await call(env, "fetch", url=page + "absent")
        assert (absent.is_error, absent.error_class) == (True, "tool")


@pytest.mark.anyio
async def test_fetch_reaches_nothing_from_its_box(page: str):
    command = [PYPI / "mcp-server-fetch", "--allow-private-ips", "--ignore-robots-txt"]
    async with opened(command) as env:
        result = await call(env, "fetch", url=page)
    assert (result.is_error, result.error_class) == (True, "tool")


@pytest.mark.anyio
async def test_filesystem_writes_in_its_box_only(tmp_path: Path):
    (tmp_path / "books.txt").write_text("Emma")
    async with opened([NPM / "mcp-server-filesystem", "/work"], files=str(tmp_path)) as env:
        assert len(names(env)) == 14
        assert (await call(env, "read_text_file", path="/work/books.txt")).content == "Emma"
        await call(env, "write_file", path="/work/new.txt", content="Persuasion")
        assert "new.txt" in (await call(env, "list_directory", path="/work")).content
        outside = await call(env, "read_text_file", path="/etc/passwd")
        assert (outside.is_error, outside.error_class) == (True, "tool")
    assert [path.name for path in tmp_path.iterdir()] == ["books.txt"]


@pytest.mark.anyio
async def test_memory_starts_empty_in_every_episode():
    command = [NPM / "mcp-server-memory"]
    emma = {"name": "Emma", "entityType": "book", "observations": ["lent"]}
    for _ in range(2):
        async with opened(command, env={"MEMORY_FILE_PATH": "/work/memory.json"}) as env:
            graph = await call(env, "read_graph")
            assert graph.structured == {"entities": [], "relations": []}
            await call(env, "create_entities", entities=[emma])
            assert (await call(env, "read_graph")).structured["entities"][0]["name"] == "Emma"


@pytest.mark.anyio
async def test_everything_gives_content_of_every_kind():
    async with opened([NPM / "mcp-server-everything"]) as env:
        assert len(names(env)) == 13
        assert (await call(env, "echo", message="hi")).content == "Echo: hi"
        assert "[image: image/png" in (await call(env, "get-tiny-image")).content
        wrong = await call(env, "echo", message=7)
        assert (wrong.is_error, wrong.error_class) == (True, "policy")


@pytest.mark.anyio
async def test_a_public_server_keeps_the_promises_of_an_environment():
    taskset = mcp.taskset(
        [TASK],
        command=[str(NPM / "mcp-server-memory")],
        env={"MEMORY_FILE_PATH": "/work/memory.json"},
    )
    entities = [{"name": "Emma", "entityType": "book", "observations": ["lent"]}]
    calls = [
        ToolCall("c1", "create_entities", "", {"entities": entities}),
        ToolCall("c2", "read_graph", "", {}),
    ]
    assert await check_taskset(taskset, calls=calls) == []


@pytest.mark.anyio
async def test_the_tools_of_public_servers_are_offered_closed_and_without_references():
    for program in (PYPI / "mcp-server-git", NPM / "mcp-server-filesystem"):
        async with opened([program, *(["/work"] if program.parent == NPM else [])]) as env:
            for spec in env.tools:
                assert spec.input_schema["additionalProperties"] is False, spec.name
                assert not _keywords(spec.input_schema) & {"$ref", "$schema", "title"}, spec.name


def _keywords(schema: Any) -> set[str]:
    if isinstance(schema, Mapping):
        below = [_keywords(child) for child in schema.get("properties", {}).values()]
        return set(schema).union(*below, _keywords(schema.get("items")))
    return set()
