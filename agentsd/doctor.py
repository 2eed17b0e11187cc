"""What works on this machine: sandboxes, engines, optional packages, and the fix for what does not.

Loads no heavy package into this process: versions are read from metadata, and torch is asked in a
process of its own. Knows nothing of how the answers are shown.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import urllib.request
from importlib.metadata import PackageNotFoundError, version

from agentsd.boxes import Probe
from agentsd.errors import ConfigError
from agentsd.sandbox.backends import BACKENDS, backend

TORCH_TIMEOUT_S = 60.0
URL_TIMEOUT_S = 5.0
EXTRAS = {
    "docker": "boxes in Docker containers",
    "httpx": "OpenEnv servers",
    "websockets": "OpenEnv servers",
    "mpmath": "the BFCL tasks",
}
"""Optional packages and what they are for."""
ASK_TORCH = """
import json, torch
count = torch.cuda.device_count()
names = [torch.cuda.get_device_name(index) for index in range(count)]
print(json.dumps({"torch": torch.__version__, "devices": names}))
"""


async def examine(vllm_url: str | None = None) -> list[Probe]:
    """Try everything, at the same time. Never raises for what does not work."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(examine_sandbox(name)) for name in BACKENDS]
        tasks.append(group.create_task(examine_torch()))
        tasks.append(group.create_task(examine_vllm(vllm_url)))
    return [task.result() for task in tasks] + [examine_package(name) for name in EXTRAS]


async def examine_sandbox(name: str) -> Probe:
    """Whether boxes of that kind isolate; ``ConfigError`` becomes the probe's detail and fix."""
    try:
        probe = await backend(name).probe()
    except ConfigError as error:
        detail, _, fix = str(error).partition("; run: ")
        probe = Probe(name, works=False, detail=detail, fix=fix)
    return Probe(f"sandbox {probe.name}", probe.works, probe.detail, probe.fix)


async def examine_torch() -> Probe:
    """The ``hf`` engine: torch's version and the CUDA devices that it can use."""
    name = "engine hf"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ASK_TORCH),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TORCH_TIMEOUT_S):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        detail = f"torch did not load within {TORCH_TIMEOUT_S:g} s"
        return Probe(name, works=False, detail=detail, fix="free memory, or install torch again")
    if process.returncode != 0:
        words = (stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        fix = "pip install --force-reinstall torch"
        return Probe(name, works=False, detail=f"torch does not load: {words}", fix=fix)
    found = json.loads(stdout)
    devices = ", ".join(found["devices"]) or "no CUDA device, runs on the CPU"
    detail = f"torch {found['torch']}, transformers {_version('transformers')}: {devices}"
    return Probe(name, works=True, detail=detail)


async def examine_vllm(url: str | None) -> Probe:
    """The ``vllm`` engine: the server at ``url``, or else whether the package is here."""
    name = "engine vllm"
    if url is None:
        return _package(name, "vllm", "agentsd does not sample from it yet")
    try:
        answer = await asyncio.to_thread(_get, f"{url.rstrip('/')}/version")
    except (OSError, ValueError) as error:
        fix = f"start one: vllm serve MODEL, then try curl {url}/version"
        return Probe(name, works=False, detail=f"no vLLM server at {url}: {error}", fix=fix)
    return Probe(name, works=True, detail=f"server at {url}: {answer}")


def examine_package(name: str) -> Probe:
    """Whether an optional package is installed; it is not loaded."""
    return _package(f"package {name}", name, EXTRAS[name])


def _package(label: str, package: str, purpose: str) -> Probe:
    if importlib.util.find_spec(package) is None:
        detail = f"not installed, optional: {purpose}"
        return Probe(label, works=False, detail=detail, fix=f"pip install {package}")
    return Probe(label, works=True, detail=f"{_version(package)}: {purpose}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=URL_TIMEOUT_S) as answer:
        return answer.read(1000).decode(errors="replace").strip()
