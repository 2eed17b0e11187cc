"""Which files a command needs, read off the file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentsd.tools.mcp_box import boxed
from agentsd.tools.mcp_programs import inside, needs_of, search_path
from agentsd.tools.mcp_targets import Stdio


def make(path: Path, text: str = "", mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """A Python installation that is not the system's."""
    make(tmp_path / "python/lib/python3.11/os.py")
    return make(tmp_path / "python/bin/python3.11")


def test_a_script_of_a_virtual_environment_needs_it_and_the_interpreter_behind_it(
    tmp_path: Path, interpreter: Path
):
    venv = tmp_path / "venv"
    make(venv / "pyvenv.cfg", f"home = {interpreter.parent}")
    (venv / "bin").mkdir()
    (venv / "bin/python").symlink_to(interpreter)
    script = make(venv / "bin/serve", f"#!{venv}/bin/python\n")
    argv, needs = needs_of(Stdio([str(script), "--quiet"]))
    assert needs.paths == {venv, tmp_path / "python"}
    assert argv == [inside(venv / "bin/python"), inside(script), "--quiet"]
    assert search_path(needs).startswith(inside(venv / "bin"))


def test_a_link_from_a_folder_of_programs_is_followed(tmp_path: Path):
    modules = tmp_path / "npm/node_modules"
    make(modules / "@x/server/dist/index.js", "#!/usr/bin/env no-such-interpreter\n")
    (modules / ".bin").mkdir()
    (modules / ".bin/serve").symlink_to("../@x/server/dist/index.js")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/serve").symlink_to(modules / ".bin/serve")
    _, needs = needs_of(Stdio([str(tmp_path / "bin/serve")]))
    assert needs.paths == {modules, tmp_path / "bin/serve"}


def test_a_script_that_is_an_argument_is_shown_where_the_command_names_it(tmp_path: Path):
    script = make(tmp_path / "server.py", mode=0o644)
    argv, needs = needs_of(Stdio(["/bin/sh", str(script), "--data", str(tmp_path)]))
    assert needs.paths == {script}
    assert argv == ["/bin/sh", inside(script), "--data", str(tmp_path)]


def test_a_script_of_a_package_needs_the_package(tmp_path: Path):
    make(tmp_path / "server/package.json")
    script = make(tmp_path / "server/dist/index.js", mode=0o644)
    _, needs = needs_of(Stdio(["/bin/sh", str(script)]))
    assert needs.paths == {tmp_path / "server"}


def test_programs_of_the_system_need_nothing():
    argv, needs = needs_of(Stdio(["cat"]))
    assert (argv, needs.paths) == (["/usr/bin/cat"], set())


def test_a_home_folder_is_never_shown_for_a_program_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    make(tmp_path / "package.json")
    make(tmp_path / "lib/python3.11/os.py")
    program = make(tmp_path / "bin/serve")
    _, needs = needs_of(Stdio([str(program)]))
    assert needs.paths == {program}


def test_paths_that_a_sandbox_has_itself_are_moved():
    assert inside(Path("/home/ann/venv")) == "/home/ann/venv"
    assert inside(Path("/tmp/venv")) == "/host/tmp/venv"
    assert inside(Path("/work/venv")) == "/host/work/venv"


def test_what_the_user_mounts_and_sets_comes_on_top(tmp_path: Path):
    target = Stdio(["cat"], {"PATH": "/usr/bin", "A": "b"}, mounts={"/data": str(tmp_path)})
    _, spec = boxed(target)
    assert spec.mounts == {"/data": str(tmp_path)}
    assert spec.env == {"PATH": "/usr/bin", "HOME": "/work", "LANG": "C.UTF-8", "A": "b"}
