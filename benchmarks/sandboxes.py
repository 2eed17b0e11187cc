"""What a box costs: its first command, later commands, and many boxes at once.

    python benchmarks/sandboxes.py                 every variant that works here
    python benchmarks/sandboxes.py --repeats 5 --variants subprocess bwrap

Every repeat runs all variants one after the other, in an order that rotates, and a ratio is taken
within its repeat. Times are wall times in milliseconds: opening a box is mostly waiting, for a
daemon or the kernel.

variant      what is measured
subprocess   ``subprocess.run``: no box at all
bwrap        ``agentsd.sandbox.bwrap``
docker       ``agentsd.sandbox.docker``
docker-sdk   the ``docker`` package alone: run, exec_run, remove; none of the limits
peer-local   mini-swe-agent's LocalEnvironment: a shell on this machine
peer-docker  mini-swe-agent's DockerEnvironment: the docker command line

The peer is installed into an environment of its own (``--peer``) on the first run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from agentsd.boxes import BoxSpec
from agentsd.errors import ConfigError, InfraError
from agentsd.interfaces import SandboxBackend
from agentsd.sandbox.backends import backend
from agentsd.sandbox.docker import DockerBackend

PEER = "mini-swe-agent==2.4.6"
PEER_NEEDS = ("pydantic", "platformdirs", "python-dotenv", "rich")
"""What its environments import; the models it brings along are not needed here."""
PEER_FOLDER = Path(__file__).parents[1] / ".cache" / "peer-venv"
VARIANTS = ("subprocess", "bwrap", "docker", "docker-sdk", "peer-local", "peer-docker")
NO_BOX = ("subprocess", "peer-local")
COMMANDS = {"true": ["true"], "python": ["python3", "-I", "-S", "-c", "pass"]}
PATH = "/usr/bin:/bin"
"""Of commands outside of a container, so that all of them start the same kind of python3."""
NUM_LATER = 10
TIMEOUT_S = 120.0
RUN = "benchmark"

WORKER = """
import json, logging, subprocess, sys, time
kind, image, path = sys.argv[1:]
if kind == "peer-docker":
    from minisweagent.environments.docker import DockerEnvironment
    make = lambda: DockerEnvironment(
        image=image, interpreter=["sh", "-c"], run_args=["--rm", "--network", "none"])
else:
    from minisweagent.environments.local import LocalEnvironment
    make = lambda: LocalEnvironment(env={"PATH": path})
logging.getLogger("minisweagent").setLevel(logging.ERROR)
def timed(job):
    start = time.perf_counter()
    result = job()
    return result, 1000 * (time.perf_counter() - start)
def command(env, words):
    result = env.execute({"command": words})
    assert result["returncode"] == 0, result
for line in sys.stdin:
    commands, count = json.loads(line)
    def first():
        env = make()
        command(env, commands["true"])
        return env
    env, first_ms = timed(first)
    times = {"first": [first_ms]}
    for name, words in commands.items():
        times[name] = [timed(lambda: command(env, words))[1] for _ in range(count)]
    if kind == "peer-docker":
        # Its own cleanup goes on in the background, into the next measurement.
        subprocess.run(["docker", "rm", "--force", env.container_id], capture_output=True)
        env.container_id = None
    print(json.dumps(times), flush=True)
"""

Times = dict[str, list[float]]
"""Milliseconds: of the first command, and of later ones by their name in ``COMMANDS``."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One fresh box: medians of its times, in milliseconds."""

    first: float
    """Opening it, up to the end of its first command, ``true``."""
    true: float
    python: float


def milliseconds(start: float) -> float:
    """Since ``start``, which ``perf_counter`` gave."""
    return 1000 * (time.perf_counter() - start)


def plain_times() -> Times:
    """No box: a process for each command."""
    times: Times = {}
    for name, argv in [("first", COMMANDS["true"])] + NUM_LATER * list(COMMANDS.items()):
        start = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True, timeout=TIMEOUT_S, env={"PATH": PATH})
        times.setdefault(name, []).append(milliseconds(start))
    return times


def box_times(boxes: SandboxBackend) -> Times:
    """One of ours."""
    return asyncio.run(_box_times(boxes))


async def _box_times(boxes: SandboxBackend) -> Times:
    start = time.perf_counter()
    async with boxes.box(BoxSpec(run=RUN)) as box:
        await box.exec(COMMANDS["true"], timeout_s=TIMEOUT_S)
        times: Times = {"first": [milliseconds(start)]}
        for name, argv in COMMANDS.items():
            times[name] = []
            for _ in range(NUM_LATER):
                start = time.perf_counter()
                result = await box.exec(argv, timeout_s=TIMEOUT_S)
                times[name].append(milliseconds(start))
                assert result.exit_code == 0, result
    return times


def sdk_times(client: docker.DockerClient, image: str) -> Times:
    """The SDK as its documentation uses it."""
    start = time.perf_counter()
    container = client.containers.run(image, ["sleep", "600"], detach=True, network_mode="none")
    try:
        container.exec_run(COMMANDS["true"])
        times: Times = {"first": [milliseconds(start)]}
        for name, argv in COMMANDS.items():
            times[name] = []
            for _ in range(NUM_LATER):
                start = time.perf_counter()
                result = container.exec_run(argv)
                times[name].append(milliseconds(start))
                assert result.exit_code == 0, result
    finally:
        container.remove(force=True)
    return times


@contextmanager
def peer(folder: Path, variant: str, image: str) -> Iterator[Callable[[], Times]]:
    """mini-swe-agent in a process of its own, which measures itself."""
    environment = os.environ | {"MSWEA_SILENT_STARTUP": "1"}
    with subprocess.Popen(
        [folder / "bin/python", "-c", WORKER, variant, image, PATH],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        stdin, stdout = worker.stdin, worker.stdout
        words = {name: " ".join(argv) for name, argv in COMMANDS.items()}

        def times() -> Times:
            stdin.write(json.dumps([words, NUM_LATER]) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

        try:
            yield times
        finally:
            stdin.close()


def install_peer(folder: Path) -> None:
    """Make the peer's environment, unless it is there."""
    if (folder / "installed").exists():
        return
    print(f"installing {PEER} into {folder}", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", PEER], check=True, timeout=600)
    subprocess.run([*pip, *PEER_NEEDS], check=True, timeout=600)
    (folder / "installed").touch()


def measure(variants: dict[str, Callable[[], Times]], num_repeats: int) -> dict[str, list[Sample]]:
    """The first round warms up and is dropped."""
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    names = list(variants)
    for repeat in range(num_repeats + 1):
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            times = variants[name]()
            middles = {key: statistics.median(values) for key, values in times.items()}
            samples[name].append(Sample(**middles))
    return {name: found[1:] for name, found in samples.items()}


async def many_boxes(boxes: SandboxBackend, count: int) -> tuple[float, int]:
    """Open boxes at once, all open at the same time. Returns seconds and how many worked."""
    everyone_is_in = asyncio.Barrier(count)

    async def one(number: int) -> bool:
        async with boxes.box(BoxSpec(run=RUN)) as box:
            result = await box.exec(["echo", str(number)], timeout_s=TIMEOUT_S)
            await everyone_is_in.wait()
            return result.stdout == f"{number}\n".encode()

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(count)]
    return time.perf_counter() - start, sum(task.result() for task in tasks)


def spread(values: Sequence[float], digits: int) -> str:
    """The median, and the tenth and ninetieth percentiles."""
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({tenths[0]:.{digits}f}-{tenths[-1]:.{digits}f})"


def baseline_of(name: str, samples: dict[str, list[Sample]]) -> str:
    """What the ratio is taken to: containers to the plain SDK, everything else to no box."""
    is_container = "docker" in name and "docker-sdk" in samples
    return "docker-sdk" if is_container else "subprocess"


def print_table(samples: dict[str, list[Sample]], num_repeats: int) -> None:
    """One line for each variant and measure."""
    print(f"{num_repeats} repeats, {NUM_LATER} later commands each, milliseconds: median (p10-p90)")
    print(f"{os.cpu_count()} processors, {os.getloadavg()[0]:.1f} processes waiting for them")
    print(f"\n{'variant':<13}{'measure':<18}{'ms':<24}{'ratio':<22}to")
    for name, found in samples.items():
        base = samples[baseline_of(name, samples)]
        for key, label in (("first", "open + true"), ("true", "true"), ("python", "python3")):
            values = [getattr(sample, key) for sample in found]
            ratios = [getattr(a, key) / getattr(b, key) for a, b in zip(found, base, strict=True)]
            print(
                f"{name:<13}{label:<18}{spread(values, 1):<24}{spread(ratios, 2):<22}"
                f"{baseline_of(name, samples)}"
            )


@contextmanager
def available(options: argparse.Namespace) -> Iterator[dict[str, Callable[[], Times]]]:
    """How each variant is measured. One that cannot be is an error, not a gap in the table."""
    chosen: dict[str, Callable[[], Times]] = {}
    image = asyncio.run(_host_image(options.variants))
    peers = []
    for name in options.variants:
        if name == "subprocess":
            chosen[name] = plain_times
        elif name in ("bwrap", "docker"):
            boxes = backend(name)
            chosen[name] = lambda boxes=boxes: box_times(boxes)
        elif name == "docker-sdk":
            client = docker.from_env()
            chosen[name] = lambda client=client: sdk_times(client, image)
        else:
            install_peer(options.peer)
            peers.append(peer(options.peer, name, image))
            chosen[name] = peers[-1].__enter__()
    try:
        yield chosen
    finally:
        for opened in peers:
            opened.__exit__(None, None, None)


async def _host_image(variants: Sequence[str]) -> str:
    """The image all container variants run."""
    if all("docker" not in name for name in variants):
        return ""
    return await DockerBackend().host_python_image(RUN)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--boxes", type=int, default=200, help="boxes at once, bwrap; 0: none")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--peer", type=Path, default=PEER_FOLDER, help="environment of the peer")
    options = parser.parse_args()
    if options.variants[0] != "subprocess" or options.repeats < 2:
        parser.error("--variants must begin with subprocess, and --repeats be at least 2")
    if "peer-docker" in options.variants and not shutil.which("docker"):
        parser.error("peer-docker needs the docker command line; leave it out with --variants")
    return options


def main() -> None:
    """Measure and print."""
    options = parse()
    try:
        with available(options) as variants:
            print_table(measure(variants, options.repeats), options.repeats)
        if options.boxes and "bwrap" in options.variants:
            seconds, num_good = asyncio.run(many_boxes(backend("bwrap"), options.boxes))
            print(
                f"\nbwrap, {options.boxes} boxes open at once: {num_good} good in {seconds:.1f} s"
            )
    except (ConfigError, InfraError) as error:
        sys.exit(f"sandboxes.py: {error}")


if __name__ == "__main__":
    main()
