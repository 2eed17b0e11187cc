# pyright: reportMissingImports=false
"""Two small OpenEnv environments, made with the helpers of `openenv` 0.10, in one process.

Prints its port, then serves /guess, /notes and /notes-rpc on 127.0.0.1 until it is ended. Three
sessions each.
"""

import socket
import sys
import time

import uvicorn
from fastapi import FastAPI
from fastmcp import FastMCP
from openenv.core.env_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.mcp_environment import MCPEnvironment
from openenv.core.env_server.mcp_types import CallToolAction, CallToolObservation
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field


class GuessAction(Action):
    """Guess the number."""

    number: int = Field(ge=0, le=100, description="Your guess")


class GuessObservation(Observation):
    text: str


class Guess(Environment):
    """Guess a number; each miss costs. A guess of 13 breaks the server, one of 14 is slow."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        super().__init__()
        self.secret, self.misses = 7, 0

    def reset(self, seed=None, episode_id=None, **kwargs):
        if seed == 666:
            raise RuntimeError("no such seed")
        self.secret, self.misses = (7 if seed is None else seed), 0
        return GuessObservation(text="think of 0 to 100", metadata={"hidden": self.secret})

    def step(self, action, timeout_s=None, **kwargs):
        if action.number == 13:
            raise ValueError("13 is unlucky")
        if action.number == 14:
            time.sleep(1.0)
        if action.number == self.secret:
            return GuessObservation(text="right", reward=1.0 - 0.25 * self.misses, done=True)
        self.misses += 1
        return GuessObservation(text="wrong", reward=0.0)

    @property
    def state(self):
        return State(episode_id="e", step_count=self.misses)


class Notes(MCPEnvironment):
    """A list of notes behind MCP tools; milk is worth a reward."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        server, notes = FastMCP("notes"), []
        self.notes = notes

        @server.tool()
        def add_note(text: str) -> int:
            """Add a note."""
            if not text:
                raise ValueError("a note needs text")
            notes.append(text)
            return len(notes)

        @server.tool()
        def list_notes() -> list[str]:
            """List the notes."""
            return notes

        super().__init__(server)

    def reset(self, seed=None, episode_id=None, **kwargs):
        self.notes.clear()
        return Observation(metadata={"status": "ready"})

    async def step_async(self, action, timeout_s=None, **kwargs):
        observed = await super().step_async(action, timeout_s=timeout_s, **kwargs)
        if isinstance(observed, CallToolObservation):
            observed.reward = float("milk" in self.notes)
        return observed

    def _step_impl(self, action, timeout_s=None, **kwargs):
        raise ValueError("only tools act here")

    @property
    def state(self):
        return State(episode_id="e", step_count=len(self.notes))


class NoteAction(Action):
    """An action of its own kind, so that tool calls are no actions."""

    text: str = ""


KINDS = {
    "guess": (Guess, GuessAction, GuessObservation),
    "notes": (Notes, CallToolAction, CallToolObservation),
    "notes-rpc": (Notes, NoteAction, Observation),
}

app = FastAPI()
for kind, (env, action, observation) in KINDS.items():
    app.mount(f"/{kind}", create_fastapi_app(env, action, observation, max_concurrent_envs=3))
listener = socket.create_server(("127.0.0.1", 0))
sys.stdout.write(f"{listener.getsockname()[1]}\n")
sys.stdout.flush()
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
