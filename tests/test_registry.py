"""Names of environments and critics: entry points, ``module:attribute``, and wrong ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentsd.errors import ConfigError
from agentsd.interfaces import Taskset
from agentsd.registry import ENVS, known_names, load_critic, load_taskset, resolve
from agentsd.tools.env import ToolEnv
from agentsd.types import Task

PLUGIN = """
from agentsd.tools.function import tool
from agentsd.types import Task

@tool
def add(a: int, b: int) -> int:
    "Add two integers."
    return a + b

tools = [add]

class Tasks:
    def __init__(self, level=1):
        self.level = level
    def tasks(self, split):
        return [Task("t", f"level {self.level}")]
    def env(self, task):
        raise NotImplementedError

class Silent:
    async def review(self, trajectory):
        return ()

class Nested:
    factory = Tasks

made = Tasks(level=3)
number = 3

def broken_inside(level=1):
    raise TypeError("a mistake of the plugin")

def forgetful():
    return None
"""


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module in the working directory, under a name that no other test uses."""
    name = f"plugin_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return name


def test_the_built_in_environments_are_registered_like_any_others():
    assert {"desk", "functions", "mcp"} <= set(known_names(ENVS))


def test_a_registered_name_is_made_with_its_options(plugin: str):
    tools = resolve(ENVS, f"{plugin}:tools")
    made = load_taskset("functions", {"tools": tools, "tasks": [Task("t", "2 + 2?")]})
    assert isinstance(made, Taskset)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"agentsd\.envs has no 'dsk'; known: .*desk, functions"):
        load_taskset("dsk", {})
    with pytest.raises(ConfigError, match=r"agentsd\.critics has no 'x'; known: .*rules"):
        load_critic("x", {})


def test_a_factory_in_a_module_of_the_working_directory_is_found(plugin: str):
    made = load_taskset(f"{plugin}:Tasks", {"level": 2})
    assert made.tasks("train")[0].prompt == "level 2"
    nested = load_taskset(f"{plugin}:Nested.factory", {})
    assert nested.tasks("train")[0].prompt == "level 1"


def test_a_list_of_tools_is_an_environment(plugin: str):
    made = load_taskset(f"{plugin}:tools", {"tasks": [Task("t", "2 + 2?")]})
    env = made.env(made.tasks("train")[0])
    assert isinstance(env, ToolEnv)


def test_a_taskset_that_is_made_already_takes_no_options(plugin: str):
    assert load_taskset(f"{plugin}:made", {}).tasks("train")[0].prompt == "level 3"
    with pytest.raises(ConfigError, match="takes no options, got level"):
        load_taskset(f"{plugin}:made", {"level": 1})


def test_a_critic_is_loaded_the_same_way(plugin: str):
    assert load_critic(f"{plugin}:Silent", {}) is not None
    with pytest.raises(ConfigError, match="gave a Tasks, expected a Critic"):
        load_critic(f"{plugin}:Tasks", {})
    with pytest.raises(ConfigError, match="is a int, expected a factory"):
        load_critic(f"{plugin}:number", {})


def test_a_wrong_option_is_named_with_the_ones_there_are(plugin: str):
    with pytest.raises(ConfigError, match=r"unexpected keyword argument 'levle'; it takes: level"):
        load_taskset(f"{plugin}:Tasks", {"levle": 2})
    with pytest.raises(ConfigError, match=r"missing a required argument: 'tasks'"):
        load_taskset(f"{plugin}:tools", {})


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        ("gone", "has no attribute 'gone'"),
        ("number", "gave a int, expected a Taskset"),
        ("forgetful", "gave a NoneType, expected a Taskset"),
    ],
)
def test_an_attribute_that_is_no_taskset_is_a_config_error(
    plugin: str, attribute: str, reason: str
):
    with pytest.raises(ConfigError, match=reason):
        load_taskset(f"{plugin}:{attribute}", {})


def test_a_module_that_does_not_exist_is_a_config_error():
    with pytest.raises(ConfigError, match="there is no module 'no_such_module'"):
        load_taskset("no_such_module.inner:tools", {})


def test_a_mistake_inside_a_plugin_is_raised_as_it_is(plugin: str, tmp_path: Path):
    with pytest.raises(TypeError, match="a mistake of the plugin"):
        load_taskset(f"{plugin}:broken_inside", {})
    (tmp_path / f"{plugin}_needy.py").write_text("import no_such_dependency\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        load_taskset(f"{plugin}_needy:tools", {})
