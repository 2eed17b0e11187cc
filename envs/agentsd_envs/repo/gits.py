"""Read the files of a commit, out of a local repository or one that is cloned first.

Blobs are read as they are stored: attributes such as ``export-ignore`` hide nothing, and no filter
or hook of the repository runs. Knows nothing of tasks.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentsd.errors import ConfigError, DataError, InfraError
from agentsd_envs.repo.trees import MAX_BYTES, File, checked

URL = re.compile(r"(https|file)://\S+")
READ_S = 60.0
CLONE_BYTES = 2**30
"""Largest file that a clone may write: git keeps all of a clone in one."""
SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
MODES = {"100644": False, "100755": True}


def is_url(repo: str) -> bool:
    """Whether the repository has to be cloned."""
    return "://" in repo


def is_repository(folder: Path) -> bool:
    """Whether the folder is the top of a git repository, bare or not."""
    return (folder / ".git").exists() or (folder / "HEAD").is_file()


def clone(url: str, cache: Path, timeout_s: float) -> Path:
    """A bare clone, made once and then used again by every process.

    Raises ``ConfigError`` for an address or a cache folder that cannot be used, ``InfraError`` when
    cloning fails or takes longer than ``timeout_s``.
    """
    if not URL.fullmatch(url):
        raise ConfigError(f"repo {url!r}: expected a folder, a tarball, https:// or file://")
    folder = cache / hashlib.sha256(url.encode()).hexdigest()[:24]
    with _held(cache, folder.name):
        if not folder.is_dir():
            _clone_into(folder, url, timeout_s)
    return folder


def read_commit(folder: Path, commit: str, source: str) -> dict[str, File]:
    """The files of a commit; submodules are left out. Raises ``DataError`` for an unknown one."""
    found = _git(
        folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{tree}}"
    )
    if found.returncode:
        raise DataError(f"{source}: has no commit {commit!r}; name one that the repository holds")
    listing = _git(
        folder, "ls-tree", "-r", "-l", "-z", "--full-tree", found.stdout.decode().strip()
    )
    entries = [
        _entry(each) for each in listing.stdout.decode(errors="surrogateescape").split("\0")[:-1]
    ]
    blobs = [entry for entry in entries if entry[1] == "blob"]
    if sum(size for *_, size, _ in blobs) > MAX_BYTES:
        raise DataError(f"{source}: {commit} holds more than {MAX_BYTES >> 20} MiB")
    contents = _contents(folder, [name for _, _, name, _, _ in blobs])
    files = {
        path: File(target=os.fsdecode(data)) if mode == "120000" else File(data, MODES[mode])
        for (mode, _, _, _, path), data in zip(blobs, contents, strict=True)
    }
    return checked(files, f"{source} at {commit}")


def _entry(line: str) -> tuple[str, str, str, int, str]:
    """Mode, type, object name, size and path."""
    head, _, path = line.partition("\t")
    mode, kind, name, size = head.split()
    return mode, kind, name, 0 if size == "-" else int(size), path


def _contents(folder: Path, names: list[str]) -> Iterator[bytes]:
    """The contents of blobs, in order."""
    output = _git(folder, "cat-file", "--batch", stdin="\n".join(names).encode()).stdout
    at = 0
    for _ in names:
        end = output.index(b"\n", at)
        size = int(output[at:end].split()[2])
        yield output[end + 1 : end + 1 + size]
        at = end + 1 + size + 1


def _git(folder: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A command that only reads. Raises ``InfraError`` when git is missing or hangs."""
    # The folder was named by the user, so whoever owns it is trusted to be read.
    argv = ["git", "-c", f"safe.directory={folder.resolve()}", *SAFE, "-C", str(folder), *words]
    try:
        return subprocess.run(
            argv, input=stdin, capture_output=True, env=_environment(), timeout=READ_S, check=False
        )
    except FileNotFoundError as error:
        raise InfraError("git is not installed; install it to read repositories") from error
    except subprocess.TimeoutExpired as error:
        raise InfraError(f"git did not read {folder} within {READ_S:g} s") from error


def _clone_into(folder: Path, url: str, timeout_s: float) -> None:
    """Clone beside the folder, then rename, so that a torn clone is never used."""
    with tempfile.TemporaryDirectory(prefix="clone-", dir=folder.parent) as partial:
        target = Path(partial, "repo")
        git = ["git", *SAFE, "clone", "--quiet", "--bare", "--", url, str(target)]
        limit = f'ulimit -f {CLONE_BYTES // 512}; exec "$@"'
        code, error = _ended(["sh", "-c", limit, "sh", *git], timeout_s)
        if code is None:
            raise InfraError(f"cloning {url} took more than {timeout_s:g} s")
        if code:
            reason = (error.strip().splitlines() or [f"git ended with {code}"])[-1]
            raise InfraError(f"cannot clone {url}: {reason}")
        shutil.move(target, folder)


def _ended(argv: list[str], timeout_s: float) -> tuple[int | None, str]:
    """Exit code and complaints of a program; None, and all it started killed, at the deadline."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=_environment(),
        start_new_session=True,
    )
    try:
        _, error = process.communicate(timeout=timeout_s)
        return process.returncode, error.decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, ""


@contextmanager
def _held(cache: Path, name: str) -> Iterator[None]:
    """Only one process and thread clones a repository. Raises ``ConfigError``."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / f"{name}.lock").open("a")
    except OSError as error:
        raise ConfigError(
            f"repo: clones cannot be kept in {cache}: {error.strerror}; set cache_dir to a folder "
            f"that can be written"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _environment() -> dict[str, str]:
    """No prompts, no configuration of this user or machine, no other ways to clone."""
    kept = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "https_proxy", "HTTPS_PROXY", "no_proxy")
    inherited = {name: os.environ[name] for name in kept if name in os.environ}
    return inherited | {
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "https:file",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
