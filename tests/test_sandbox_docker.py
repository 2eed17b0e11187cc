"""Docker boxes, against a real daemon: commands, limits, files, snapshots, images, endings."""

from __future__ import annotations

import asyncio
import http.server
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agentsd.boxes import MIB, BoxLimits, BoxSpec, ExecResult
from agentsd.errors import ConfigError, DataError, InfraError
from agentsd.interfaces import Sandbox, SandboxBackend, Snapshots
from agentsd.sandbox.docker import DockerBackend
from agentsd.sandbox.docker_api import Daemon, address_of
from agentsd.sandbox.docker_box import DockerBox
from agentsd.sandbox.docker_files import os_error, owned_by_the_box
from agentsd.sandbox.docker_seccomp import seccomp_profile

SMALL = BoxLimits(
    memory_bytes=192 * MIB, workdir_bytes=16 * MIB, num_files=200, num_processes=24, cpus=1.0
)
SLOW = 60.0
"""Seconds that a command may take on a busy machine; none of the tests waits for it to pass."""


@pytest.fixture(scope="module")
def backend() -> DockerBackend:
    """A daemon whose boxes isolate."""
    try:
        backend = DockerBackend()
    except ConfigError as error:
        pytest.skip(str(error))
    probe = asyncio.run(backend.probe())
    if not probe.works:
        pytest.skip(f"docker: {probe.detail}")
    return backend


def in_a_box(
    backend: DockerBackend,
    job: Callable[[DockerBox], Awaitable[object]],
    spec: BoxSpec | None = None,
) -> None:
    async def run() -> None:
        async with backend.box(spec or BoxSpec(limits=SMALL, run="tests")) as box:
            await job(box)

    asyncio.run(run())


async def python(box: Sandbox, code: str, *, timeout_s: float = SLOW) -> ExecResult:
    return await box.exec(["python3", "-c", code], timeout_s=timeout_s)


async def running(box: Sandbox) -> str:
    """The command lines of the user of the commands, but for the shell around ``cat``."""
    script = "for f in /proc/[0-9]*; do [ -O $f ] && tr '\\0' ' ' <$f/cmdline; done; :"
    return (await box.exec(["sh", "-c", script], timeout_s=SLOW)).stdout.decode()


# --- commands ----------------------------------------------------------------------------------


@pytest.mark.docker
@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["no-such-program"], 127),
        (["exit", "3"], 127),  # a word of the shell is not a program
        (["/etc/passwd"], 126),
        (["sh", "-c", "kill -9 $$"], 128 + 9),
        (["sh", "-c", "kill -15 0"], 128 + 15),
        (["echo", "a\0b"], 126),
        (["echo", "x" * 200_000], 126),
    ],
)
def test_exit_codes_are_those_of_a_shell(
    backend: DockerBackend, argv: list[str], code: int
) -> None:
    async def job(box: DockerBox) -> None:
        result = await box.exec(argv, timeout_s=SLOW)
        assert result.exit_code == code
        assert bool(result.stderr) == (code in (126, 127))

    in_a_box(backend, job)


@pytest.mark.docker
def test_a_command_runs_as_nobody_in_an_empty_folder_without_the_host_variables(
    backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "of the host")

    async def job(box: DockerBox) -> None:
        result = await python(box, "import os; print(os.getuid(), os.getcwd(), os.listdir())")
        assert result.stdout == b"1000 /work []\n"
        environment = await python(box, "import os; print(sorted(os.environ.items()))")
        assert b"SECRET_TOKEN" not in environment.stdout
        assert b"('GREETING', 'hello')" in environment.stdout

    in_a_box(backend, job, BoxSpec(limits=SMALL, env={"GREETING": "hello"}))


@pytest.mark.docker
def test_binary_input_and_both_outputs_arrive_exactly(backend: DockerBackend) -> None:
    data = bytes(range(256)) * 2000

    async def job(box: DockerBox) -> None:
        result = await box.exec(["sh", "-c", "tee /dev/stderr"], timeout_s=SLOW, stdin=data)
        assert (result.stdout, result.stderr) == (data, data)
        unread = await box.exec(["true"], timeout_s=SLOW, stdin=data)
        assert unread.exit_code == 0

    in_a_box(backend, job)


@pytest.mark.docker
def test_output_beyond_the_limit_is_drained_and_counted(backend: DockerBackend) -> None:
    async def job(box: DockerBox) -> None:
        result = await box.exec(["sh", "-c", "yes | head -c 20000000"], timeout_s=SLOW)
        assert len(result.stdout) == SMALL.output_bytes
        assert result.truncated_bytes == 20_000_000 - SMALL.output_bytes

    in_a_box(backend, job)


@pytest.mark.docker
@pytest.mark.parametrize(
    "script",
    [
        "sleep 300",
        "trap '' TERM INT HUP; sleep 300 & sleep 300",
        "setsid sleep 300 & (setsid sh -c 'sleep 300 & sleep 300' &) ; sleep 300",
    ],
)
def test_a_deadline_ends_the_command_and_its_daemons(backend: DockerBackend, script: str) -> None:
    async def job(box: DockerBox) -> None:
        result = await box.exec(["sh", "-c", f"echo begun; {script}"], timeout_s=1.5)
        assert result.is_timeout
        assert result.stdout == b"begun\n"
        assert "sleep" not in await running(box)

    in_a_box(backend, job)


@pytest.mark.docker
def test_what_a_command_leaves_running_ends_with_it(backend: DockerBackend) -> None:
    async def job(box: DockerBox) -> None:
        script = "setsid sleep 300 & nohup sleep 300 >/dev/null 2>&1 & echo done"
        result = await box.exec(["sh", "-c", script], timeout_s=SLOW)
        assert (result.exit_code, result.stdout) == (0, b"done\n")
        assert "sleep" not in await running(box)

    in_a_box(backend, job)


@pytest.mark.docker
def test_a_command_that_kills_everything_it_may_does_not_kill_the_box(
    backend: DockerBackend,
) -> None:
    async def job(box: DockerBox) -> None:
        result = await box.exec(["sh", "-c", "kill -9 -1; kill -9 $PPID $$"], timeout_s=SLOW)
        assert result.exit_code == 128 + 9
        assert (await box.exec(["true"], timeout_s=SLOW)).exit_code == 0

    in_a_box(backend, job)


@pytest.mark.docker
def test_processes_that_kill_their_killers_lose_their_container_and_not_their_files(
    backend: DockerBackend,
) -> None:
    fight = """
import os
while True:
    try: os.kill(-1, 9)
    except OSError: pass
"""

    async def job(box: DockerBox) -> None:
        await box.write("kept", b"as it was")
        result = await python(box, fight, timeout_s=1.0)
        assert result.exit_code is None
        assert await box.read("kept") == b"as it was"
        assert "python" not in await running(box)

    in_a_box(backend, job)


@pytest.mark.docker
def test_a_cancelled_command_ends_and_the_box_remains(backend: DockerBackend) -> None:
    async def job(box: DockerBox) -> None:
        task = asyncio.ensure_future(box.exec(["sleep", "300"], timeout_s=SLOW))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "sleep" not in await running(box)

    in_a_box(backend, job)


# --- limits ------------------------------------------------------------------------------------


@pytest.mark.docker
def test_forks_stop_at_the_number_of_processes(backend: DockerBackend) -> None:
    bomb = """
import os, time
made = 0
try:
    while True:
        if os.fork() == 0: time.sleep(300)
        made += 1
except OSError as error: print(made, error.errno)
"""

    async def job(box: DockerBox) -> None:
        result = await python(box, bomb)
        made, errno = map(int, result.stdout.split())
        assert errno == 11
        assert made < SMALL.num_processes
        assert await running(box) != ""

    in_a_box(backend, job)


@pytest.mark.docker
def test_an_active_fork_bomb_ends_at_its_deadline(backend: DockerBackend) -> None:
    bomb = """
import os
while True:
    try: os.fork()
    except OSError: pass
"""

    async def job(box: DockerBox) -> None:
        assert (await python(box, bomb, timeout_s=1.0)).exit_code is None
        assert "python" not in await running(box)

    in_a_box(backend, job)


@pytest.mark.docker
def test_too_much_memory_kills_the_command_and_not_the_box(backend: DockerBackend) -> None:
    async def job(box: DockerBox) -> None:
        result = await python(box, "hold = [b'x' * 2**20 for _ in range(1000)]")
        assert result.exit_code == 128 + 9
        assert (await box.exec(["true"], timeout_s=SLOW)).exit_code == 0

    in_a_box(backend, job)


@pytest.mark.docker
def test_memory_is_counted_over_all_processes(backend: DockerBackend) -> None:
    code = """
import os, time
children = []
for _ in range(6):
    child = os.fork()
    if child == 0:
        hold = b"x" * (50 * 2**20)
        time.sleep(5)
        os._exit(0)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
"""

    async def job(box: DockerBox) -> None:
        result = await python(box, code)  # 300 MiB, of 192
        assert b"9" in result.stdout or result.exit_code == 128 + 9
        assert (await box.exec(["true"], timeout_s=SLOW)).exit_code == 0

    in_a_box(backend, job)


@pytest.mark.docker
@pytest.mark.parametrize("folder", ["/work", "/tmp"])
def test_folders_hold_no_more_bytes_and_files_than_allowed(
    backend: DockerBackend, folder: str
) -> None:
    fill = f"""
import os
os.chdir({folder!r})
def until_full(write):
    for count in range(10**6):
        try: write(count)
        except OSError as error: return count, error.errno
print(until_full(lambda count: os.close(os.open(str(count), os.O_CREAT))))
for name in os.listdir(): os.unlink(name)
with open("big", "wb", buffering=0) as big:
    fd = big.fileno()
    print(until_full(lambda count: big.write(bytes(2**20)) == 2**20 or os.write(fd, b"x")))
"""

    async def job(box: DockerBox) -> None:
        lines = (await python(box, fill)).stdout.decode().split("\n")
        num_files, num_mib = eval(lines[0]), eval(lines[1])
        assert num_files == (SMALL.num_files - 1, 28)  # the folder itself is one; ENOSPC
        assert num_mib == (SMALL.workdir_bytes // MIB, 28)

    in_a_box(backend, job)


@pytest.mark.docker
def test_the_root_is_read_only_and_no_capability_is_left(backend: DockerBackend) -> None:
    async def job(box: DockerBox) -> None:
        for path in ("/x", "/etc/passwd", "/usr/x", "/bin/sh"):
            with pytest.raises(OSError, match="Read-only file system"):
                await box.write(path, b"")
        status = await box.exec(["grep", "Cap", "/proc/self/status"], timeout_s=SLOW)
        assert {line.split()[1] for line in status.stdout.splitlines()} == {b"0" * 16}

    in_a_box(backend, job)


@pytest.mark.docker
def test_only_plain_sockets_open_and_no_namespace_call_works(backend: DockerBackend) -> None:
    code = """
import ctypes, socket
opened = []
for family in range(1, 46):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        try: socket.socket(family, kind).close()
        except OSError: continue
        opened.append(family)
print(sorted(set(opened)))
libc = ctypes.CDLL(None, use_errno=True)
print(libc.unshare(0x10000000), ctypes.get_errno())
print(libc.ptrace(0, 0, 0, 0), ctypes.get_errno())
print(libc.personality(0x0400000), ctypes.get_errno())
"""

    async def job(box: DockerBox) -> None:
        result = await python(box, code)
        # unix, inet, inet6, and of netlink only its routing protocol
        assert result.stdout == b"[1, 2, 10, 16]\n-1 1\n-1 1\n-1 1\n"

    in_a_box(backend, job)


@pytest.mark.docker
def test_a_volume_that_the_image_declares_is_of_fixed_size(
    backend: DockerBackend, tmp_path: Path
) -> None:
    base = asyncio.run(backend.host_python_image())
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nVOLUME /data\n")

    async def run() -> None:
        image = await backend.build_image(tmp_path, run="tests")
        async with backend.box(BoxSpec(limits=SMALL, image=image)) as box:
            command = ["dd", "if=/dev/zero", "of=/data/big", "bs=1M", "count=64"]
            result = await box.exec(command, timeout_s=SLOW)
            assert b"No space left" in result.stderr

    asyncio.run(run())


# --- files and snapshots -----------------------------------------------------------------------


@pytest.mark.docker
def test_files_come_back_as_they_were_written(backend: DockerBackend) -> None:
    async def job(box: DockerBox) -> None:
        data = bytes(range(256)) * 5000
        await box.write("deep/er/-name with 'quotes'\n", data)
        assert await box.read("/work/deep/er/-name with 'quotes'\n") == data
        await box.write("deep/er/-name with 'quotes'\n", b"")
        assert await box.read("deep/er/-name with 'quotes'\n") == b""

    in_a_box(backend, job)


@pytest.mark.docker
def test_files_that_cannot_be_read_or_written_raise_as_open_does(backend: DockerBackend) -> None:
    async def job(box: DockerBox) -> None:
        await box.write("file", b"x")
        script = "mkfifo fifo; ln -s loop loop; ln -s /etc/passwd out; echo x >no; chmod 0 no"
        await box.exec(["sh", "-c", script], timeout_s=SLOW)
        for path, kind in {
            "missing": FileNotFoundError,
            "": FileNotFoundError,
            "/work": IsADirectoryError,
            "file/x": NotADirectoryError,
            "no": PermissionError,
            "/etc/shadow": FileNotFoundError,
            "fifo": OSError,
            "/dev/zero": OSError,
            "loop": OSError,
            "a\0b": OSError,
        }.items():
            with pytest.raises(kind):
                await box.read(path)
        for path, kind in {
            "/work": IsADirectoryError,
            "file/x": NotADirectoryError,
            "no": PermissionError,
            "out": OSError,  # the box's own file, on a read-only root
            "x" * 300: OSError,
            "new/": IsADirectoryError,
            "fifo": OSError,
            "/dev/full": OSError,
        }.items():
            with pytest.raises(kind):
                await box.write(path, b"y")
        with pytest.raises(OSError, match="No space left"):
            await box.write("big", bytes(SMALL.workdir_bytes + 1))

    in_a_box(backend, job)


@pytest.mark.docker
def test_a_link_out_of_the_working_directory_stays_in_the_box(
    backend: DockerBackend, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of the host")

    async def job(box: DockerBox) -> None:
        await box.exec(["ln", "-s", str(tmp_path / "secret"), "link"], timeout_s=SLOW)
        for path in ("link", f"../..{tmp_path}/secret", str(tmp_path / "secret")):
            with pytest.raises(FileNotFoundError):
                await box.read(path)

    in_a_box(backend, job)


@pytest.mark.docker
def test_a_snapshot_is_restored_as_often_as_one_likes(backend: DockerBackend) -> None:
    look = "find . | sort; cat a/f; stat -c '%a %Y %u' a/f empty; readlink link"

    async def job(box: DockerBox) -> None:
        assert isinstance(box, Snapshots)
        make = (
            "mkdir -p a empty; echo one >a/f; chmod 640 a/f; touch -d @1000000000 a/f; "
            "ln -s a/f link; ln a/f hard; mkdir shut; echo x >shut/in; chmod 0 shut"
        )
        await box.exec(["sh", "-c", make], timeout_s=SLOW)
        before = await box.exec(["sh", "-c", look], timeout_s=SLOW)
        snapshot = await box.snapshot()
        for _ in range(2):
            spoil = "rm -r a; echo z >.hidden; mkdir -p d/e; touch 'd/e/ x'; chmod 0 d/e"
            await box.exec(["sh", "-c", spoil], timeout_s=SLOW)
            await box.restore(snapshot)
            after = await box.exec(["sh", "-c", look], timeout_s=SLOW)
            assert after.stdout == before.stdout
        with pytest.raises(DataError, match="not a tar archive"):
            await box.restore(b"no archive")

    in_a_box(backend, job)


@pytest.mark.docker
def test_a_working_directory_of_holes_is_no_snapshot_and_the_box_remains(
    backend: DockerBackend,
) -> None:
    async def job(box: DockerBox) -> None:
        script = "for n in 1 2 3 4; do dd if=/dev/null of=hole$n bs=1M seek=30; done"
        await box.exec(["sh", "-c", script], timeout_s=SLOW)
        with pytest.raises(InfraError, match="exceeds"):
            await box.snapshot()
        assert (await box.exec(["true"], timeout_s=SLOW)).exit_code == 0

    in_a_box(backend, job)


@pytest.mark.docker
def test_a_mount_is_visible_and_read_only(backend: DockerBackend, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("by the host")
    tmp_path.chmod(0o755)
    spec = BoxSpec(limits=SMALL, mounts={"/given": str(tmp_path)})

    async def job(box: DockerBox) -> None:
        assert await box.read("/given/given") == b"by the host"
        with pytest.raises(OSError, match="Read-only file system"):
            await box.write("/given/given", b"by the box")

    in_a_box(backend, job, spec)


# --- lifetime ----------------------------------------------------------------------------------


@pytest.mark.docker
def test_two_boxes_cannot_see_each_other_and_both_are_gone_afterwards(
    backend: DockerBackend,
) -> None:
    ids: list[str] = []

    async def run() -> None:
        spec = BoxSpec(limits=SMALL, run="tests")
        async with backend.box(spec) as one, backend.box(spec) as other:
            ids.extend([one._container.id, other._container.id])
            await one.write("mine", b"1")
            await one.write("/tmp/mine", b"1")
            for path in ("mine", "/tmp/mine"):
                with pytest.raises(FileNotFoundError):
                    await other.read(path)
        with pytest.raises(InfraError, match="closed"):
            await one.exec(["true"], timeout_s=SLOW)

    asyncio.run(run())
    assert not set(ids) & set(container_ids("tests"))


@pytest.mark.docker
def test_many_boxes_at_once_each_keep_to_themselves(backend: DockerBackend) -> None:
    async def one(number: int) -> bytes:
        async with backend.box(BoxSpec(limits=SMALL, run="tests")) as box:
            await box.write("number", str(number).encode())
            return await box.read("number")

    async def run() -> list[bytes]:
        return await asyncio.gather(*(one(number) for number in range(12)))

    assert asyncio.run(run()) == [str(number).encode() for number in range(12)]


@pytest.mark.docker
@pytest.mark.parametrize("after_s", [0.001, 0.01, 0.03, 0.1, 0.3])
def test_a_cancelled_opening_leaves_no_container(backend: DockerBackend, after_s: float) -> None:
    run = f"cancelled-{after_s}"

    async def main() -> None:
        async def enter() -> None:
            async with backend.box(BoxSpec(limits=SMALL, run=run)):
                await asyncio.sleep(SLOW)

        task = asyncio.ensure_future(enter())
        await asyncio.sleep(after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert container_ids(run) == []


@pytest.mark.docker
def test_a_container_that_dies_is_an_infra_error(backend: DockerBackend) -> None:
    async def job(box: DockerBox) -> None:
        daemon = Daemon()
        container_id = box._container.id
        waiting = asyncio.ensure_future(box.exec(["sleep", "300"], timeout_s=SLOW))
        await asyncio.sleep(0.5)
        await daemon.call(lambda api: api.kill(container_id))
        with pytest.raises(InfraError):
            await waiting
        with pytest.raises(InfraError, match="the box died"):
            await box.read("file")

    in_a_box(backend, job)


@pytest.mark.docker
def test_a_killed_host_process_leaves_no_container(backend: DockerBackend) -> None:
    code = """
import asyncio
from agentsd.boxes import BoxSpec
from agentsd.sandbox.docker import DockerBackend
async def main():
    async with DockerBackend().box(BoxSpec(run="killed")) as box:
        print("open", flush=True)
        await box.exec(["sleep", "300"], timeout_s=300)
asyncio.run(main())
"""
    asyncio.run(backend.host_python_image())
    host = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert host.stdout is not None
        assert host.stdout.readline() == b"open\n"
        assert len(container_ids("killed")) == 1
    finally:
        os.kill(host.pid, signal.SIGKILL)
        host.communicate()
    deadline = time.monotonic() + SLOW
    while container_ids("killed") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert container_ids("killed") == []


@pytest.mark.docker
@pytest.mark.usefixtures("backend")
def test_a_box_ends_with_its_lifetime() -> None:
    async def run() -> None:
        async with DockerBackend(lifetime_s=2.0).box(BoxSpec(limits=SMALL)) as box:
            with pytest.raises(InfraError):
                await box.exec(["sleep", "300"], timeout_s=SLOW)

    asyncio.run(run())


def container_ids(run: str) -> list[str]:
    """The containers that carry the label of ``run``."""
    filters = {"label": f"agentsd.run={run}"}
    found = asyncio.run(Daemon().call(lambda api: api.containers(all=True, filters=filters)))
    return [container["Id"] for container in found]


# --- images ------------------------------------------------------------------------------------


@pytest.mark.docker
def test_an_unknown_image_is_refused_with_the_command_that_gets_it(
    backend: DockerBackend,
) -> None:
    with pytest.raises(ConfigError, match="docker pull no-such-image:1"):
        in_a_box(backend, lambda box: box.read("x"), BoxSpec(image="no-such-image:1"))


@pytest.mark.docker
def test_an_image_without_a_shell_is_refused(backend: DockerBackend, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    image = asyncio.run(backend.build_image(tmp_path, run="tests"))
    with pytest.raises(ConfigError, match="has no /bin/sh"):
        in_a_box(backend, lambda box: box.read("x"), BoxSpec(image=image))


@pytest.mark.docker
@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_any_shell_and_the_usual_tools_will_do(
    backend: DockerBackend, tmp_path: Path, shell: str
) -> None:
    image = asyncio.run(backend.build_image(copied_root(tmp_path, shell), run="tests"))

    async def job(box: DockerBox) -> None:
        assert (await box.exec(["nope"], timeout_s=SLOW)).exit_code == 127
        killed = await box.exec(["sh", "-c", "kill -9 $$"], timeout_s=SLOW)
        assert (killed.exit_code, killed.stderr) == (137, b"")
        assert (await box.exec(["sleep", "300"], timeout_s=0.5)).is_timeout
        left = await box.exec(["sh", "-c", "sleep 300 & echo hi"], timeout_s=SLOW)
        assert left.stdout == b"hi\n"
        await box.write("a/b", b"c")
        snapshot = await box.snapshot()
        await box.write("a/c", b"d")
        await box.restore(snapshot)
        assert await box.read("a/b") == b"c"
        for path, kind in {"a/c": FileNotFoundError, "a/b/c": NotADirectoryError}.items():
            with pytest.raises(kind):
                await box.read(path)
        for path, kind in {"a": IsADirectoryError, "a/b/c": NotADirectoryError}.items():
            with pytest.raises(kind):
                await box.write(path, b"")
        with pytest.raises(OSError, match="Read-only"):
            await box.write("/x/y", b"")

    in_a_box(backend, job, BoxSpec(limits=SMALL, image=image))


def copied_root(folder: Path, shell: str) -> Path:
    """A folder with a Dockerfile that makes an image of the host's shell and a few tools."""
    tools = [shell, "cat", "chmod", "env", "head", "ls", "mkdir", "nice", "rm", "sleep", "stat"]
    paths = {tool: Path(shutil.which(tool) or pytest.skip(f"{tool} is not here")) for tool in tools}
    said = subprocess.run(["ldd", *map(str, paths.values())], capture_output=True, text=True)
    libraries = {word for word in said.stdout.split() if word.startswith("/") and ".so" in word}
    for source in [*map(Path, libraries)]:
        target = folder / "root" / str(source).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    (folder / "root/bin").mkdir(exist_ok=True)
    for tool, source in paths.items():
        shutil.copy(source, folder / "root/bin" / ("sh" if tool == shell else tool))
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY root /\n")
    return folder


@pytest.mark.docker
def test_a_folder_that_cannot_be_built_says_why(backend: DockerBackend, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no Dockerfile"):
        asyncio.run(backend.build_image(tmp_path))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY missing /\n")
    with pytest.raises(ConfigError, match=r"cannot be built: .*missing"):
        asyncio.run(backend.build_image(tmp_path))
    base = asyncio.run(backend.host_python_image())
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nRUN echo on purpose; exit 9\n")
    with pytest.raises(ConfigError, match=r"code: 9 .*on purpose"):
        asyncio.run(backend.build_image(tmp_path))


@pytest.mark.docker
def test_the_host_image_is_built_once_and_runs_the_standard_library(
    backend: DockerBackend,
) -> None:
    assert asyncio.run(DockerBackend().host_python_image()) == asyncio.run(
        backend.host_python_image()
    )

    async def job(box: DockerBox) -> None:
        modules = "asyncio ctypes decimal hashlib json lzma sqlite3 ssl unittest zlib"
        result = await python(box, f"import {', '.join(modules.split())}, sys; print(sys.version)")
        assert result.stdout.decode().strip() == sys.version

    in_a_box(backend, job)


# --- without a daemon --------------------------------------------------------------------------


def test_the_backend_and_its_boxes_fit_the_seams() -> None:
    pytest.importorskip("docker")
    backend: SandboxBackend = DockerBackend("unix:///nowhere")
    assert backend.box(BoxSpec()) is not None


def test_a_daemon_that_is_not_there_is_a_failed_probe_with_a_fix() -> None:
    pytest.importorskip("docker")
    probe = asyncio.run(DockerBackend("unix:///nowhere/docker.sock").probe())
    assert not probe.works
    assert "No such file or directory" in probe.detail
    assert "start the daemon" in probe.fix


class Podman(http.server.BaseHTTPRequestHandler):
    """Says who it is, as podman's Docker API does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}]}')

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_podman_is_refused_because_its_boxes_would_not_be_limited() -> None:
    pytest.importorskip("docker")
    with http.server.HTTPServer(("127.0.0.1", 0), Podman) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        backend = DockerBackend(f"tcp://127.0.0.1:{server.server_port}")
        try:
            with pytest.raises(ConfigError, match="this is podman"):
                in_a_box(backend, lambda box: box.read("x"))
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("url", ["ssh://host", "https://host:2376", "unix://", "tcp://host", "x"])
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="forward its socket"):
        address_of(url)


def test_an_unknown_architecture_is_refused() -> None:
    assert '"SCMP_ARCH_AARCH64"' in seccomp_profile("aarch64")
    with pytest.raises(ConfigError, match="no seccomp profile for mips"):
        seccomp_profile("mips")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"cat: x: No such file or directory", FileNotFoundError),
        (b"sh: 1: cannot create x: Is a directory", IsADirectoryError),
        (b"sh: 1: cannot create x/y: Directory nonexistent", FileNotFoundError),
        (b"mkdir: can't create directory 'x': File exists", NotADirectoryError),
        (b"warning\ncat: x: Permission denied\n", PermissionError),
    ],
)
def test_what_a_tool_says_becomes_the_error_it_means(said: bytes, kind: type) -> None:
    assert type(os_error(said, "x")) is kind


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x"])
def test_a_snapshot_with_a_file_outside_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="outside"):
        owned_by_the_box(archive_of(tarfile.TarInfo(name)))


def test_a_snapshot_loses_its_owners_and_devices() -> None:
    device, file = tarfile.TarInfo("device"), tarfile.TarInfo("file")
    device.type, file.uid, file.uname = tarfile.CHRTYPE, 0, "root"
    with tarfile.open(fileobj=io.BytesIO(owned_by_the_box(archive_of(device, file)))) as archive:
        assert [(member.name, member.uid, member.uname) for member in archive] == [
            ("file", 1000, "")
        ]


def archive_of(*members: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in members:
            archive.addfile(member)
    return out.getvalue()
