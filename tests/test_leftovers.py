"""What a crashed run leaves is removed by the label of the run, and nothing else is."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from agentsd import leftovers
from agentsd.boxes import BoxSpec
from agentsd.errors import ConfigError
from agentsd.sandbox import cgroups
from agentsd.sandbox.docker import DockerBackend
from agentsd.sandbox.docker_api import Daemon
from agentsd.sandbox.docker_images import named_image
from agentsd.sandbox.docker_options import container_config
from agentsd.sandbox.docker_seccomp import seccomp_profile


@pytest.fixture
def daemon() -> Daemon:
    """A daemon whose boxes isolate."""
    try:
        probe = asyncio.run(DockerBackend().probe())
    except ConfigError as error:
        pytest.skip(str(error))
    if not probe.works:
        pytest.skip(f"docker: {probe.detail}")
    return Daemon()


@pytest.fixture
def run() -> Iterator[str]:
    """A label of this test only; what still carries it at the end is removed."""
    label = f"test-{uuid.uuid4().hex[:8]}"
    yield label
    for left in (label, f"{label}-other"):
        asyncio.run(leftovers.sweep(left, with_images=True))


def crash(daemon: Daemon, run: str) -> str:
    """Make a box's container and go, as a process does that is killed before it starts it."""
    image = asyncio.run(DockerBackend().host_python_image())

    async def make() -> dict[str, Any]:
        info = await daemon.call(lambda api: api.info())
        profile = seccomp_profile(info["Architecture"])
        found = await named_image(daemon, image)
        config = container_config(
            BoxSpec(run=run), found.id, volumes=(), profile=profile, lifetime_s=60
        )
        return await daemon.call(lambda api: api.create_container_from_config(config))

    return asyncio.run(make())["Id"]


def labelled(daemon: Daemon, run: str) -> tuple[list[str], list[str]]:
    """The containers and the volumes of a run."""
    filters = {"label": f"agentsd.run={run}"}
    containers = asyncio.run(daemon.call(lambda api: api.containers(all=True, filters=filters)))
    volumes = asyncio.run(daemon.call(lambda api: api.volumes(filters=filters)))["Volumes"]
    return [found["Id"] for found in containers], [found["Name"] for found in volumes or ()]


@pytest.mark.docker
def test_containers_of_the_run_are_removed_with_their_volumes(daemon: Daemon, run: str) -> None:
    container_id, other_id = crash(daemon, run), crash(daemon, f"{run}-other")
    assert [len(found) for found in labelled(daemon, run)] == [1, 2]  # /work and /tmp
    swept = asyncio.run(leftovers.sweep(run))
    assert swept.removed == (f"container {container_id[:12]}",)
    assert labelled(daemon, run) == ([], [])
    assert labelled(daemon, f"{run}-other")[0] == [other_id]


@pytest.mark.docker
def test_a_second_sweep_finds_nothing(daemon: Daemon, run: str) -> None:
    crash(daemon, run)
    assert asyncio.run(leftovers.sweep(run)).removed
    assert asyncio.run(leftovers.sweep(run)).removed == ()


@pytest.mark.docker
def test_images_of_the_run_are_removed_only_when_asked_to(
    daemon: Daemon, run: str, tmp_path: Any
) -> None:
    base = asyncio.run(DockerBackend().host_python_image())
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nENV MARK={run}\n")
    name = asyncio.run(DockerBackend().build_image(tmp_path, run=run))
    assert asyncio.run(leftovers.sweep(run)).removed == ()
    assert asyncio.run(leftovers.sweep(run, with_images=True)).removed == (f"image {name}",)
    with pytest.raises(ConfigError, match="docker pull"):
        asyncio.run(named_image(daemon, name))


def test_control_groups_of_boxes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def removed(run: str) -> int:
        asked.append(run)
        return 3

    monkeypatch.setattr(cgroups, "remove_left_over", removed)
    swept = asyncio.run(leftovers.sweep("crashed", base_url="unix:///nowhere/docker.sock"))
    assert asked == ["crashed"]
    assert swept.removed == ("3 control groups of bwrap boxes",)


def test_a_daemon_that_cannot_be_reached_is_said_and_does_not_stop_the_rest() -> None:
    pytest.importorskip("docker")
    swept = asyncio.run(leftovers.sweep("crashed", base_url="unix:///nowhere/docker.sock"))
    assert len(swept.notes) == 1
    assert "No such file or directory" in swept.notes[0]


def test_an_empty_label_is_refused() -> None:
    with pytest.raises(ConfigError, match="label of a run"):
        asyncio.run(leftovers.sweep(""))
