"""The doctor: every component is tried, and one that does not work comes with its fix."""

from __future__ import annotations

import asyncio
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import version

import pytest

from agentsd import doctor
from agentsd.boxes import Probe
from agentsd.sandbox import docker_api


def test_everything_is_probed_and_what_fails_has_a_fix() -> None:
    probes = asyncio.run(doctor.examine())
    names = [probe.name for probe in probes]
    assert names[:4] == ["sandbox bwrap", "sandbox docker", "engine hf", "engine vllm"]
    assert set(names[4:]) == {f"package {name}" for name in doctor.EXTRAS}
    for probe in probes:
        assert probe.works == (probe.fix == ""), probe
        assert "\n" not in probe.detail + probe.fix
        assert probe.detail


def test_torch_is_asked_in_another_process() -> None:
    code = (
        "import asyncio, sys; from agentsd import doctor; "
        "print(asyncio.run(doctor.examine_torch()).detail); "
        "sys.exit(bool({'torch', 'transformers', 'docker', 'vllm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert version("torch") in done.stdout


def test_a_torch_that_does_not_load_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ASK_TORCH", "raise OSError('libcudart.so.12 is missing')")
    probe = asyncio.run(doctor.examine_torch())
    assert not probe.works
    assert "libcudart.so.12 is missing" in probe.detail


def test_a_torch_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ASK_TORCH", "import time; time.sleep(600)")
    monkeypatch.setattr(doctor, "TORCH_TIMEOUT_S", 0.5)
    probe = asyncio.run(doctor.examine_torch())
    assert not probe.works
    assert "did not load within 0.5 s" in probe.detail


def test_a_missing_sdk_is_a_probe_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker_api.importlib.util, "find_spec", lambda name: None)
    assert asyncio.run(doctor.examine_sandbox("docker")) == Probe(
        "sandbox docker",
        works=False,
        detail="the docker package is not installed",
        fix="pip install 'agentsd[docker]'",
    )


class Version(http.server.BaseHTTPRequestHandler):
    """Answers as a vLLM server does."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/version" else 404)
        self.end_headers()
        self.wfile.write(b'{"version":"0.99"}')

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server on this machine."""
    with http.server.HTTPServer(("127.0.0.1", 0), Version) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_vllm_server_is_asked_for_its_version(server: str) -> None:
    probe = asyncio.run(doctor.examine_vllm(server))
    assert probe.works
    assert "0.99" in probe.detail


@pytest.mark.parametrize("path", ["/elsewhere", ""])
def test_a_vllm_server_that_does_not_answer_is_reported(server: str, path: str) -> None:
    url = server + path if path else "http://127.0.0.1:1"
    probe = asyncio.run(doctor.examine_vllm(url))
    assert not probe.works
    assert url in probe.detail
    assert "vllm serve" in probe.fix
