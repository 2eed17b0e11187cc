"""An MCP server over stdio that misbehaves in the ways its arguments name. Standard library only.

    server.py TOKEN [MODE...]

TOKEN stands in the command line of everything it starts, so that a test can find what is left.
Speaks the protocol with a handshake (2025-11-25), as most servers do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

TOKEN, MODES = sys.argv[1], frozenset(sys.argv[2:])
SLEEPER = [sys.executable, "-c", "import time; time.sleep(300)", TOKEN]
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
NOTHING = {"type": "object", "properties": {}}


def send(message: dict) -> None:
    """Write one message."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def notify(method: str, **parameters: object) -> None:
    """Tell the client something that it did not ask for."""
    send({"jsonrpc": "2.0", "method": method, "params": parameters})


# --- tools: each gives its text, or a whole result ------------------------------------------------


def echo(text: str) -> str:
    """Give the text back."""
    return text


def hang() -> str:
    """Never come back, and read nothing meanwhile."""
    time.sleep(300)
    return "late"


def die() -> str:
    """End the process in the middle of the call."""
    sys.stderr.write("out of memory\n")
    sys.stderr.flush()
    os._exit(3)


def flood() -> str:
    """Print lines that are no messages, without end."""
    while True:
        sys.stdout.write("debug: still here\n" * 1000)


def flood_without_lines() -> str:
    """Print one line without end."""
    while True:
        sys.stdout.write("x" * 65536)


def flood_notices() -> str:
    """Send notifications without end."""
    while True:
        notify("notifications/message", level="info", data="still here")


def large(num_bytes: str) -> str:
    """As many bytes as asked for."""
    return "x" * int(num_bytes)


def swallow() -> str:
    """Fail, and call it a success in the words of a library."""
    return "Error executing tool swallow: no such book"


def report() -> str:
    """Succeed with a text that begins like an error."""
    return "Error: 3 lines of the log begin with this word"


def typed() -> dict:
    """Break its own output schema."""
    return {"content": [{"type": "text", "text": "seven"}], "structuredContent": {"count": "7"}}


def garbled() -> str:
    """Send bytes that are no text before the answer."""
    sys.stdout.flush()
    os.write(1, b'\xff\xfe{"jsonrpc": \xc3\n')
    return "fine"


def withdraw() -> str:
    """Take ``echo`` from the list, and say so."""
    TOOLS.pop("echo", None)
    notify("notifications/tools/list_changed")
    return "done"


def withdraw_silently() -> str:
    """Take ``echo`` from the list."""
    TOOLS.pop("echo", None)
    return "done"


def spawn() -> str:
    """Start a process that goes on."""
    return str(subprocess.Popen(SLEEPER).pid)


def spawn_daemon() -> str:
    """Start a process that goes on in a session of its own."""
    return str(subprocess.Popen(SLEEPER, start_new_session=True).pid)


def look(path: str) -> str:
    """What is in a folder."""
    return "\n".join(sorted(os.listdir(path)))


def write(path: str) -> str:
    """Make a file."""
    with open(path, "w") as file:
        file.write("mine")
    return "done"


def variables() -> str:
    """The names of the environment variables."""
    return "\n".join(sorted(os.environ))


PATH = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
SIZE = {"type": "object", "properties": {"num_bytes": {"type": "string"}}}
TOOLS = {
    "echo": (echo, TEXT),
    "large": (large, SIZE),
    "look": (look, PATH),
    "write": (write, PATH),
} | {
    call.__name__: (call, NOTHING)
    for call in (
        *(hang, die, flood, flood_without_lines, flood_notices, swallow, report, typed, garbled),
        *(withdraw, withdraw_silently, spawn, spawn_daemon, variables),
    )
}


# --- the protocol ---------------------------------------------------------------------------------


def listed() -> list[dict]:
    """The tools, as the mode has them."""
    tools = [
        {"name": name, "description": call.__doc__, "inputSchema": schema}
        for name, (call, schema) in TOOLS.items()
    ]
    for tool in tools:
        if tool["name"] == "typed":
            tool["outputSchema"] = {"type": "object", "properties": {"count": {"type": "integer"}}}
    if "another-list" in MODES:
        tools.append({"name": f"tool_{os.urandom(4).hex()}", "inputSchema": NOTHING})
    if "bad-schema" in MODES:
        tools.append({"name": "bad", "inputSchema": {"type": "object", "properties": {"x": 1}}})
    if "dangling" in MODES:
        wrong = {"type": "object", "properties": {"x": {"$ref": "#/$defs/Missing"}}}
        tools.append({"name": "dangling", "inputSchema": wrong})
    if "backwards" in MODES:
        tools.reverse()
    return tools


def answer(method: str, parameters: dict) -> dict:
    """The result of a request. Raises ``LookupError`` for a method that it does not know."""
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "lab", "version": "1"},
        }
    if method == "tools/list":
        pages = {"nextCursor": "more"} if "endless-list" in MODES else {}
        return {"tools": listed(), **pages}
    if method != "tools/call":
        raise LookupError(method)
    name = parameters["name"]
    if name not in TOOLS:
        text = f"MCP error -32602: Tool {name} not found"
        return {"content": [{"type": "text", "text": text}], "isError": True}
    result = TOOLS[name][0](**parameters.get("arguments", {}))
    return {"content": [{"type": "text", "text": result}]} if isinstance(result, str) else result


def serve() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if "noisy" in MODES:
            sys.stdout.write("DEBUG got a line\n")
        if "id" not in request:
            continue
        head = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            send({**head, "result": answer(request["method"], request.get("params", {}))})
        except LookupError:
            if "deaf" not in MODES:  # what it does not know it does not answer
                send({**head, "error": {"code": -32601, "message": "Method not found"}})


def main() -> None:
    """Do what the modes say before and after serving."""
    if "stubborn" in MODES:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "daemon" in MODES:
        spawn_daemon()
    if "silent" in MODES:
        time.sleep(300)
    if "refuses" in MODES:
        sys.exit("no configuration found")
    if "no-mcp" in MODES:
        sys.stdout.write("usage: tool [-h] FILE\n")
        sys.exit(1)
    serve()
    if "stays" in MODES:
        time.sleep(300)


main()
