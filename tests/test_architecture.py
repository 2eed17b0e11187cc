"""The house rules: imports form a DAG, importing does nothing, modules stay small."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"agentsd": ROOT, "agentsd_envs": ROOT / "envs", "agentsd_critics": ROOT / "critics"}
MAX_MODULE, MAX_FUNCTION = 300, 50


def modules() -> dict[str, Path]:
    found = {}
    for package, root in PACKAGES.items():
        for path in (root / package).rglob("*.py"):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def imported(node: ast.AST) -> Iterator[str]:
    """The project's own modules that an import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in MODULES)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            if inner in MODULES:
                yield inner
            elif node.module in MODULES:
                yield node.module


def imports_of(name: str) -> set[str]:
    return {target for node in ast.walk(TREES[name]) for target in imported(node)} - {name}


def test_imports_form_a_dag() -> None:
    graphlib.TopologicalSorter({name: imports_of(name) for name in MODULES}).prepare()


def test_the_core_knows_no_concrete_environment_or_critic() -> None:
    for name in MODULES:
        if name.split(".")[0] == "agentsd":
            assert not [t for t in imports_of(name) if t.split(".")[0] != "agentsd"], name


@pytest.mark.parametrize(
    "name", ["types", "interfaces", "errors", "registry", "config", "store", "gate", "hinting"]
)
def test_message_and_token_space_import_no_torch(name: str) -> None:
    code = f"import agentsd.{name}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_imports_stand_at_the_top_except_in_the_command_line() -> None:
    for name, tree in TREES.items():
        functions = [
            n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        inner = [t for f in functions for node in ast.walk(f) for t in imported(node)]
        assert not inner or name.startswith("agentsd.cli"), name


def test_modules_and_functions_stay_within_their_limits() -> None:
    for name, tree in TREES.items():
        assert len(MODULES[name].read_text().splitlines()) <= MAX_MODULE, name
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= MAX_FUNCTION, f"{name}.{node.name}"


def test_every_module_says_what_it_is() -> None:
    for name, tree in TREES.items():
        assert ast.get_docstring(tree), name


def test_no_module_keeps_mutable_state() -> None:
    for name, tree in TREES.items():
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Global)], name
