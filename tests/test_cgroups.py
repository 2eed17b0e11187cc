"""Control groups: which are found on which machine, and what is written into them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentsd.boxes import MIB, BoxLimits
from agentsd.errors import InfraError
from agentsd.sandbox import cgroups
from agentsd.sandbox.cgroups import Hierarchy, create, find, folder_name, opened, remove_left_over

LIMITS = BoxLimits(memory_bytes=100 * MIB, num_processes=50, cpus=1.5)
V1 = "30 25 0:26 / {top}/{name} rw,relatime - cgroup cgroup rw,{options}\n"
V2 = "30 25 0:26 {root} {top} rw,relatime - cgroup2 cgroup2 rw\n"


def proc(folder: Path, mountinfo: str, cgroup: str) -> Path:
    """A folder as ``/proc/self`` would be."""
    path = folder / "proc"
    path.mkdir(exist_ok=True)
    (path / "mountinfo").write_text(mountinfo)
    (path / "cgroup").write_text(cgroup)
    return path


def group(path: Path, controllers: str = "", passed_on: str = "") -> Path:
    """A folder with a version 2 group's files."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.controllers").write_text(controllers)
    (path / "cgroup.subtree_control").write_text(passed_on)
    (path / "cgroup.procs").write_text("")
    return path


def test_version_1_groups_are_made_below_the_own_ones(tmp_path: Path) -> None:
    (tmp_path / "memory/job/7").mkdir(parents=True)
    (tmp_path / "cpu,cpuacct").mkdir()
    mounts = V1.format(top=tmp_path, name="memory", options="memory") + V1.format(
        top=tmp_path, name="cpu,cpuacct", options="cpu,cpuacct"
    )
    found = find(proc(tmp_path, mounts, "5:memory:/job/7\n4:cpu,cpuacct:/\n0::/\n"))
    assert [(version, parent) for version, parent, _ in found.parents] == [
        (1, tmp_path / "memory/job/7"),
        (1, tmp_path / "cpu,cpuacct"),
    ]
    assert found.controllers == {"memory", "cpu"}


def test_version_1_limits_are_written(tmp_path: Path) -> None:
    hierarchy = Hierarchy([(1, tmp_path, frozenset({"memory", "pids", "cpu"}))])
    # A real group has these files from the start; here they are made by a group that is a folder.
    made = _files_of(hierarchy, list(cgroups._settings_v1(LIMITS)))
    assert made["memory.limit_in_bytes"] == str(100 * MIB)
    assert made["memory.memsw.limit_in_bytes"] == str(100 * MIB)
    assert made["pids.max"] == "50"
    assert made["cpu.cfs_quota_us"] == "150000"


def test_version_2_limits_are_written(tmp_path: Path) -> None:
    hierarchy = Hierarchy([(2, tmp_path, frozenset({"memory", "pids", "cpu"}))])
    made = _files_of(hierarchy, list(cgroups._settings_v2(LIMITS)))
    assert made == {
        "memory.max": str(100 * MIB),
        "memory.swap.max": "0",
        "pids.max": "50",
        "cpu.max": "150000 100000",
    }


def _files_of(hierarchy: Hierarchy, names: list[str]) -> dict[str, str]:
    """What ``create`` writes into files that exist, as they do in a real group."""
    version, parent, controllers = hierarchy.parents[0]
    box = cgroups._make(parent / folder_name("r"), "box", version, controllers)
    for name in names:
        (box / name).write_text("max")
    cgroups._set_limits(box, version, controllers, LIMITS)
    return {name: (box / name).read_text() for name in names}


def test_version_2_children_need_an_ancestor_that_passes_controllers_on(tmp_path: Path) -> None:
    # As systemd lays it out: the session's own group holds processes, so its parent is used.
    # Asking the session's group for controllers changes nothing, in a real group with EBUSY.
    slice_ = group(tmp_path / "user.slice", "memory pids", "memory pids")
    group(slice_ / "session.scope", "memory pids")
    info = proc(tmp_path, V2.format(root="/", top=tmp_path), "0::/user.slice/session.scope\n")
    found = find(info)
    assert [(version, parent) for version, parent, _ in found.parents] == [(2, slice_)]
    assert found.controllers == {"memory", "pids"}
    asked = (slice_ / "session.scope" / "cgroup.subtree_control").read_text()
    assert asked in ("+memory", "+pids")


def test_version_2_without_memory_and_processes_is_no_use(tmp_path: Path) -> None:
    group(tmp_path, "cpuset io", "cpuset io")
    found = find(proc(tmp_path, V2.format(root="/", top=tmp_path), "0::/\n"))
    assert found.controllers == frozenset()


def test_a_container_that_sees_only_its_own_groups_uses_the_top(tmp_path: Path) -> None:
    # Without a namespace of its own, /proc/self/cgroup shows the path on the machine around it.
    group(tmp_path, "cpu memory pids", "cpu memory pids")
    info = proc(tmp_path, V2.format(root="/docker/abc", top=tmp_path), "0::/docker/abc\n")
    assert [parent for _, parent, _ in find(info).parents] == [tmp_path]


def test_labels_that_are_no_file_names_are_hashed() -> None:
    assert folder_name("run-1.2_x") == "agentsd-run-1.2_x"
    assert folder_name("../../memory").startswith("agentsd-#")
    assert folder_name("a" * 65) != folder_name("a" * 66)
    assert "/" not in folder_name("a/b")


def test_left_over_groups_are_removed_by_their_label_alone(tmp_path: Path) -> None:
    info = proc(
        tmp_path,
        "".join(V1.format(top=tmp_path, name=n, options=n) for n in ("memory", "pids")),
        "5:memory:/\n4:pids:/\n",
    )
    for name in ("memory/job", "pids"):
        for box in ("agentsd-dead/1-a", "agentsd-dead/1-b", "agentsd-dead-2/1-c"):
            (tmp_path / name / box).mkdir(parents=True)
    assert remove_left_over("dead", info) == 2
    assert not (tmp_path / "memory/job/agentsd-dead").exists()
    assert not (tmp_path / "pids/agentsd-dead").exists()
    assert (tmp_path / "pids/agentsd-dead-2/1-c").exists()
    assert remove_left_over("dead", info) == 0


def test_a_group_that_cannot_be_made_is_the_machines_fault(tmp_path: Path) -> None:
    hierarchy = Hierarchy([(1, tmp_path / "missing", frozenset({"memory"}))])
    with pytest.raises(InfraError, match="no control group for a box"):
        create(hierarchy, "r", LIMITS)


def test_a_machine_without_groups_has_boxes_without_them(tmp_path: Path) -> None:
    async def body() -> list[str]:
        found = find(proc(tmp_path, "", ""))
        async with opened(found, "r", LIMITS) as join:
            return join

    assert asyncio.run(body()) == []


def test_real_groups_are_made_limited_and_removed() -> None:
    hierarchy = find()
    if not hierarchy.controllers:
        pytest.skip("no control groups can be made here")

    async def body() -> tuple[list[Path], dict[str, str]]:
        async with opened(hierarchy, "test-cgroups", LIMITS) as join:
            folders = [Path(path).parent for path in join]
            files = [path for folder in folders for path in folder.iterdir()]
            return folders, {p.name: p.read_text().strip() for p in files if p.name in LIMIT_FILES}

    folders, limits = asyncio.run(body())
    assert not [folder for folder in folders if folder.exists() or folder.parent.exists()]
    assert limits["pids.max"] == "50"
    memory = limits.get("memory.max") or limits.get("memory.limit_in_bytes")
    assert memory == str(100 * MIB)


LIMIT_FILES = ("pids.max", "memory.max", "memory.limit_in_bytes")


def test_real_version_2_groups_are_joined_and_left() -> None:
    tops = [mount for mount in cgroups.mounts() if mount.version == 2]
    if not tops or not (tops[0].own / "cgroup.procs").exists():
        pytest.skip("no version 2 hierarchy here")

    async def body() -> str:
        parents = Hierarchy([(2, tops[0].own, frozenset())])
        async with opened(parents, "test-cgroups", LIMITS) as join:
            script = f"echo 0 > {join[0]} && cat /proc/self/cgroup"
            process = await asyncio.create_subprocess_exec(
                "sh", "-c", script, stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
            return output.decode()

    assert "agentsd-test-cgroups/" in asyncio.run(body())
