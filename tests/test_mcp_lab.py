"""Servers that misbehave, each in one way: what the policy is told, and what voids the episode."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from agentsd.errors import ConfigError, InfraError
from agentsd.sandbox.bwrap import BwrapBackend
from agentsd.tools.env import ToolEnv
from agentsd.tools.mcp import Limits, McpConnection, McpTool, probe
from agentsd.tools.mcp_box import box_failure
from agentsd.tools.mcp_contact import Contact
from agentsd.tools.mcp_stdio import MAX_LINE_BYTES
from agentsd.tools.mcp_targets import SandboxName, Stdio
from agentsd.types import ToolCall, ToolResult

LAB = Path(__file__).with_name("mcp_lab") / "server.py"
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
SANDBOXES: tuple[SandboxName, ...] = ("bwrap", "none")
PATIENT = Limits(connect_timeout_s=60.0, call_timeout_s=60.0)
QUICK = Limits(connect_timeout_s=60.0, call_timeout_s=1.0)
GONE_S = 10.0
"""How long the kernel may take on a busy machine to end what was killed."""


@pytest.fixture(scope="module", autouse=True)
def isolating_machine() -> None:
    """Boxes must work here."""
    found = asyncio.run(BwrapBackend().probe())
    if not found.works:
        pytest.skip(f"bwrap does not isolate here: {found.detail}; {found.fix}")


@pytest.fixture
def token() -> str:
    """Stands in the command line of every process that a lab server starts."""
    return f"lab-{os.urandom(8).hex()}"


def lab(token: str, *modes: str, sandbox: SandboxName = "bwrap") -> Stdio:
    return Stdio([PYTHON, str(LAB), token, *modes], sandbox=sandbox)


def running(token: str) -> list[int]:
    """The processes of this machine with the token in their command line, zombies left out."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            is_ours = entry.name.isdigit() and token in (entry / "cmdline").read_text()
            found += [int(entry.name)] if is_ours else []
    return found


async def assert_gone(token: str) -> None:
    """Nothing is left that the server started, nor the server, nor its sandbox."""
    deadline = time.monotonic() + GONE_S
    while left := running(token):
        assert time.monotonic() < deadline, f"{len(left)} processes are left"
        await asyncio.sleep(0.05)


async def call(tools: Sequence[McpTool], name: str, **arguments: str) -> ToolResult:
    tool = next(each for each in tools if each.spec.name == name)
    return await tool.run(ToolCall("c1", name, "", arguments))


@contextlib.asynccontextmanager
async def neighbour(token: str) -> AsyncIterator[Sequence[McpTool]]:
    """Another episode, which must go on whatever the misbehaving one does."""
    async with McpConnection(lab(token), PATIENT) as tools:
        yield tools
        assert (await call(tools, "echo", text="still here")).content == "still here"


# --- a boxed server ------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_server_runs_in_a_box_of_its_own_unless_it_is_trusted(token: str):
    async with McpConnection(lab(token), PATIENT) as tools, neighbour(token) as others:
        assert "etc" in (await call(tools, "look", path="/")).content
        names = (await call(tools, "look", path="/etc")).content.split()
        assert "passwd" in names
        assert "shadow" not in names
        await call(tools, "write", path="/work/mine")
        assert (await call(tools, "look", path="/work")).content == "mine"
        assert (await call(others, "look", path="/work")).content == ""
    await assert_gone(token)


@pytest.mark.anyio
async def test_a_boxed_server_sees_the_variables_it_was_given_and_no_others(
    token: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("API_TOKEN", "s3cret")
    target = Stdio([PYTHON, str(LAB), token], env={"SEED": "7", "KEY": "${API_TOKEN}"})
    async with McpConnection(target, PATIENT) as tools:
        names = (await call(tools, "variables")).content.split()
    assert names == ["HOME", "KEY", "LANG", "PATH", "PWD", "SEED"]


@pytest.mark.anyio
async def test_files_are_copied_for_every_episode(token: str, tmp_path: Path):
    (tmp_path / "start.txt").write_text("as it was")
    target = Stdio([PYTHON, str(LAB), token], files=str(tmp_path), mounts={"/mnt/ro": str(LAB)})
    for _ in range(2):
        async with McpConnection(target, PATIENT) as tools:
            assert (await call(tools, "look", path="/work")).content == "start.txt"
            await call(tools, "write", path="/work/more.txt")
            assert (await call(tools, "look", path="/mnt")).content == "files\nro"
    assert [path.name for path in tmp_path.iterdir()] == ["start.txt"]


@pytest.mark.anyio
async def test_without_bwrap_the_user_is_told_and_nothing_runs_unboxed(
    token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r'bwrap.*install.*sandbox = "none"') as caught:
        await probe(lab(token), PATIENT)
    assert "\n" not in str(caught.value)


def test_a_machine_that_cannot_isolate_is_told_apart_from_a_server_that_fails(token: str):
    refusal = box_failure(lab(token), "bwrap: setting up uid map: Permission denied")
    assert isinstance(refusal, ConfigError)
    assert 'sandbox = "none"' in str(refusal)
    assert box_failure(lab(token), "KeyError: 'bwrap: '") is None


# --- servers that do not come up -----------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("sandbox", SANDBOXES)
@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("refuses", "it ended before it spoke MCP; it said: no configuration found"),
        ("no-mcp", r"it ended before it spoke MCP; it printed: usage: tool \[-h\] FILE"),
        ("endless-list", "its list of tools has more than 100 pages"),
    ],
)
async def test_what_is_no_server_is_one_line(
    token: str, mode: str, reason: str, sandbox: SandboxName
):
    with pytest.raises(ConfigError, match=reason) as caught:
        await probe(lab(token, mode, sandbox=sandbox), PATIENT)
    assert "\n" not in str(caught.value)
    await assert_gone(token)


@pytest.mark.anyio
async def test_a_server_that_never_answers_is_given_up_in_time(token: str):
    async with neighbour(token):
        start = time.monotonic()
        with pytest.raises(InfraError, match="did not answer within 1 s"):
            async with McpConnection(lab(token, "silent"), Limits(connect_timeout_s=1.0)):
                pass
        assert time.monotonic() - start < 8
    await assert_gone(token)


@pytest.mark.anyio
@pytest.mark.slow
async def test_only_the_first_contact_waits_for_what_an_old_server_does_not_know(token: str):
    contact = Contact()
    seconds: list[float] = []
    for _ in range(2):
        start = time.monotonic()
        async with McpConnection(lab(token, "deaf"), PATIENT, contact) as tools:
            seconds.append(time.monotonic() - start)
            assert (await call(tools, "echo", text="hi")).content == "hi"
    assert contact.mode == "legacy"
    assert seconds[0] >= 10 > seconds[1], "the SDK waits 10 s for an answer that never comes"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("bad-schema", "tool bad: the input schema is not valid JSON Schema at properties/x"),
        ("dangling", "tool dangling: the input schema refers to '#/\\$defs/Missing'"),
    ],
)
async def test_a_schema_that_is_invalid_names_the_tool_and_the_place(
    token: str, mode: str, reason: str
):
    env = ToolEnv(McpConnection(lab(token, mode), PATIENT), ())
    with pytest.raises(ConfigError, match=reason):
        await env.open()
    await env.close()
    await assert_gone(token)


# --- calls ---------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_server_that_hangs_in_a_call_is_a_timeout_and_others_go_on(token: str):
    async with neighbour(token), McpConnection(lab(token), QUICK) as tools:
        result = await call(tools, "hang")
        assert (result.error_class, result.content) == (
            "timeout",
            "Error: hang did not answer within 1 s",
        )
    await assert_gone(token)


@pytest.mark.anyio
@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_a_server_that_dies_in_a_call_voids_its_episode_only(
    token: str, sandbox: SandboxName
):
    async with neighbour(token), McpConnection(lab(token, sandbox=sandbox), PATIENT) as tools:
        with pytest.raises(InfraError, match="Connection closed; it said: out of memory"):
            await call(tools, "die")
    await assert_gone(token)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["flood", "flood_notices"])
async def test_a_server_that_floods_its_output_is_ended_and_others_go_on(token: str, name: str):
    async with neighbour(token), McpConnection(lab(token), PATIENT) as tools:
        with pytest.raises(InfraError, match="floods its output"):
            await call(tools, name)
    await assert_gone(token)


@pytest.mark.anyio
async def test_a_line_without_end_is_refused_and_then_ends_the_server(token: str):
    async with neighbour(token), McpConnection(lab(token), PATIENT) as tools:
        result = await call(tools, "flood_without_lines")
        assert result.is_error
        assert f"the reply is longer than {MAX_LINE_BYTES} bytes" in result.content
    await assert_gone(token)


@pytest.mark.anyio
async def test_twenty_megabytes_arrive_and_are_cut(token: str):
    env = ToolEnv(McpConnection(lab(token), PATIENT), ())
    await env.open()
    result = await env.call(ToolCall("c1", "large", "", {"num_bytes": "20000000"}))
    await env.close()
    assert len(result.content) + result.truncated_bytes > 20_000_000
    assert len(result.content) <= 65_536
    assert not result.is_error


@pytest.mark.anyio
async def test_a_reply_beyond_any_limit_is_refused_and_the_next_call_works(token: str):
    async with McpConnection(lab(token), PATIENT) as tools:
        result = await call(tools, "large", num_bytes=str(MAX_LINE_BYTES))
        assert (result.is_error, result.error_class) == (True, "tool")
        assert (await call(tools, "echo", text="hi")).content == "hi"


@pytest.mark.anyio
async def test_debug_prints_between_messages_do_no_harm(token: str):
    async with McpConnection(lab(token, "noisy"), PATIENT) as tools:
        assert (await call(tools, "garbled")).content == "fine"
        assert (await call(tools, "echo", text="hi")).content == "hi"


@pytest.mark.anyio
async def test_an_error_in_a_librarys_own_words_is_an_error_and_a_text_about_one_is_not(token: str):
    async with McpConnection(lab(token), PATIENT) as tools:
        swallowed = await call(tools, "swallow")
        assert (swallowed.is_error, swallowed.error_class) == (True, "tool")
        assert not (await call(tools, "report")).is_error


@pytest.mark.anyio
async def test_a_reply_that_breaks_the_tools_own_output_schema_is_kept(token: str):
    async with McpConnection(lab(token), PATIENT) as tools:
        result = await call(tools, "typed")
    assert (result.content, result.structured, result.is_error) == ("seven", {"count": "7"}, False)


# --- tools that change ---------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["withdraw", "withdraw_silently"])
async def test_a_call_of_a_tool_that_was_withdrawn_is_not_the_policys_fault(token: str, how: str):
    async with McpConnection(lab(token), PATIENT) as tools:
        assert not (await call(tools, how)).is_error
        with pytest.raises(InfraError, match="changed its tools during the episode: gone: echo"):
            await call(tools, "echo", text="hi")
        assert (await call(tools, "report")).content.startswith("Error: 3 lines")


@pytest.mark.anyio
async def test_another_list_of_tools_than_at_first_contact_voids_the_episode(token: str):
    contact = Contact()
    async with McpConnection(lab(token, "another-list"), PATIENT, contact):
        pass
    with pytest.raises(InfraError, match=r"other tools than at first: gone: tool_\w+; new: tool_"):
        async with McpConnection(lab(token, "another-list"), PATIENT, contact):
            pass


@pytest.mark.anyio
async def test_the_order_of_the_tools_is_that_of_the_first_contact(token: str):
    contact = Contact()
    async with McpConnection(lab(token), PATIENT, contact) as tools:
        names = [tool.spec.name for tool in tools]
    async with McpConnection(lab(token, "backwards"), PATIENT, contact) as tools:
        assert [tool.spec.name for tool in tools] == names


# --- nothing is left -----------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["spawn", "spawn_daemon"])
async def test_what_a_server_started_ends_with_it(token: str, name: str):
    async with McpConnection(lab(token), PATIENT) as tools:
        await call(tools, name)
        assert len(running(token)) >= 2
    await assert_gone(token)


@pytest.mark.anyio
@pytest.mark.parametrize("modes", [("stubborn", "stays", "daemon"), ("stays",)])
async def test_a_server_that_does_not_want_to_end_is_ended(token: str, modes: tuple[str, ...]):
    async with McpConnection(lab(token, *modes), PATIENT):
        start = time.monotonic()
    assert time.monotonic() - start < 8
    await assert_gone(token)


@pytest.mark.anyio
async def test_a_server_that_is_blocked_in_a_call_is_ended(token: str):
    async with McpConnection(lab(token, "stubborn", "daemon"), QUICK) as tools:
        assert (await call(tools, "hang")).error_class == "timeout"
    await assert_gone(token)


CLIENT = """
import asyncio, sys
from agentsd.tools.mcp import McpConnection
from agentsd.tools.mcp_targets import Stdio
from agentsd.types import ToolCall

async def main():
    async with McpConnection(Stdio(sys.argv[2:])) as tools:
        by_name = {tool.spec.name: tool for tool in tools}
        await by_name[sys.argv[1]].run(ToolCall("c1", sys.argv[1], "", {}))
        print("called", flush=True)
        await by_name["hang"].run(ToolCall("c2", "hang", "", {}))

asyncio.run(main())
"""


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["report", "spawn", "spawn_daemon"])
async def test_a_client_that_is_killed_in_a_call_leaves_nothing(token: str, name: str):
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, name, PYTHON, str(LAB), token], stdout=subprocess.PIPE
    )
    try:
        assert client.stdout is not None
        assert await asyncio.to_thread(client.stdout.readline) == b"called\n"
        assert len(running(token)) >= 2
    finally:
        client.send_signal(signal.SIGKILL)
        client.communicate(timeout=30)
    await assert_gone(token)


@pytest.mark.anyio
async def test_a_trusted_server_loses_what_stays_in_its_process_group(token: str):
    async with McpConnection(lab(token, sandbox="none"), PATIENT) as tools:
        await call(tools, "spawn")
    await assert_gone(token)


@pytest.mark.anyio
async def test_a_connection_ends_although_a_daemon_of_a_trusted_server_holds_its_output(token: str):
    async with McpConnection(lab(token, sandbox="none"), PATIENT) as tools:
        daemon = int((await call(tools, "spawn_daemon")).content)
        start = time.monotonic()
    try:
        assert time.monotonic() - start < 8
        assert running(token) == [daemon], "that is what trusting a server means"
    finally:
        os.kill(daemon, signal.SIGKILL)
    await assert_gone(token)
