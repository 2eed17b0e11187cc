"""Find environments, critics, policies and recipes by name: entry points, or ``module:attribute``.

Knows nothing of any of them. An import error inside a plugin is raised as it is.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from agentsd.errors import ConfigError
from agentsd.interfaces import Critic, Taskset

Group = Literal["agentsd.envs", "agentsd.critics", "agentsd.policies", "agentsd.recipes"]

ENVS: Group = "agentsd.envs"
CRITICS: Group = "agentsd.critics"
POLICIES: Group = "agentsd.policies"
RECIPES: Group = "agentsd.recipes"
FUNCTIONS = "functions"
"""The environment that serves a plain list of tools."""


def load_taskset(name: str, options: Mapping[str, Any]) -> Taskset:
    """The taskset ``name``, made with ``options``.

    ``module:attribute`` may be a factory, a ``Taskset``, or a list of ``@tool`` functions. Raises
    ``ConfigError``; what the factory raises passes through.
    """
    target = resolve(ENVS, name)
    if isinstance(target, Sequence):
        target = partial(resolve(ENVS, FUNCTIONS), tools=target)
    made = _make(name, target, options) if callable(target) else target
    if not isinstance(made, Taskset):
        raise ConfigError(f"env {name!r} gave a {type(made).__name__}, expected a Taskset")
    if made is target and options:
        raise ConfigError(f"env {name!r} takes no options, got {', '.join(options)}")
    return made


def load_critic(name: str, options: Mapping[str, Any]) -> Critic:
    """The critic ``name``, made with ``options``. Raises ``ConfigError``."""
    made = _make(name, resolve(CRITICS, name), options)
    if not isinstance(made, Critic):
        raise ConfigError(f"critic {name!r} gave a {type(made).__name__}, expected a Critic")
    return made


def policy_folder(name: str) -> Path | None:
    """The folder of a policy that a package ships, or None when no package ships ``name``."""
    return Path(resolve(POLICIES, name)()) if name in known_names(POLICIES) else None


def recipe_file(name: str) -> Path:
    """The recipe that a package ships as ``name``, else the file of that name."""
    return Path(resolve(RECIPES, name)()) if name in known_names(RECIPES) else Path(name)


def resolve(group: Group, name: str) -> Any:
    """What ``name`` stands for. Raises ``ConfigError`` with the known names."""
    if ":" in name:
        return _attribute(name)
    found = {entry.value: entry for entry in entry_points(group=group, name=name)}
    if len(found) == 1:
        return next(iter(found.values())).load()
    if found:
        raise ConfigError(f"{name!r} is registered more than once: {', '.join(sorted(found))}")
    known = ", ".join(known_names(group)) or "none is installed"
    raise ConfigError(f"{group} has no {name!r}; known: {known}; or give module:attribute")


def known_names(group: Group) -> Sequence[str]:
    """The registered names, sorted."""
    return sorted(entry_points(group=group).names)


def _attribute(name: str) -> Any:
    module_name, _, path = name.partition(":")
    value: Any = _module(name, module_name)
    for part in path.split("."):
        if not hasattr(value, part):
            raise ConfigError(f"{name!r}: {module_name} has no attribute {path!r}")
        value = getattr(value, part)
    return value


def _module(name: str, module_name: str) -> Any:
    """Import a module that may also lie in the working directory, as with ``python -m``."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last, so that it hides nothing that is installed
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(f"{name!r}: there is no module {error.name!r}") from error
        raise


def _make(name: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Call the factory, after telling the caller about options that it does not take."""
    if not callable(factory):
        raise ConfigError(f"{name!r} is a {type(factory).__name__}, expected a factory")
    signature = inspect.signature(factory)
    try:
        signature.bind(**options)
    except TypeError as error:
        takes = ", ".join(signature.parameters) or "nothing"
        raise ConfigError(f"options of {name!r}: {error}; it takes: {takes}") from error
    return factory(**options)
