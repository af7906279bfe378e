"""A directory to mount on, for a process that serves mounts: looked at by another process.

What serves a mount must not wait for it, and a path may lead through it: in a link, or because
somebody mounts above it in that moment. So a shell goes there, and may have to wait; it has nothing
of ours open, so that our death does not wait for it either. Then its working directory is where the
path leads, and taking a descriptor of that asks nobody.

Source: proc_pid_cwd(5); nd_jump_link() in fs/namei.c; `mnt_id` in proc_pid_fdinfo(5).
"""

import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyi_fs.cli.mountinfo import FILESYSTEM_TYPE, Mount, mount_at, mounts
from pyi_fs.errors import (
    BusyError,
    DirectoryNotEmptyError,
    InvalidArgumentError,
    NotADirectoryInTreeError,
    NotFoundError,
)

_SHELL = "/bin/sh"
# Says one letter, and stays there until its input ends. `test` is a builtin of every sh.
_SCRIPT = (
    'if ! test -e "$1"; then echo n; exit; fi; if ! test -d "$1"; then echo f; exit; fi; '
    'cd -P -- "$1" || { echo x; exit; }; found=e; for name in .* *; do case $name in .|..) ;; '
    '*) if test -e "./$name" || test -L "./$name"; then found=u; break; fi;; esac; done; '
    "echo $found; read -r end"
)
_EMPTY, _USED = b"e", b"u"
_LOOK_SECONDS_MAX = 10.0


@contextmanager
def looked_at(path: Path) -> Iterator[tuple[int, Path]]:
    """Gives a descriptor (O_PATH) of an empty directory that can be mounted on, and its real path.

    BLOCKS, at most some seconds. `NotFoundError`, `NotADirectoryInTreeError`,
    `DirectoryNotEmptyError`, `InvalidArgumentError` if it lies in a mounted workspace, `BusyError`
    if something is mounted there or it cannot be looked at.
    """
    if not path.is_absolute():
        raise InvalidArgumentError(f"the mountpoint '{path}' is not absolute")
    with _shell(path) as shell:
        said = _said(path, shell)
        _refuse(path, said)
        descriptor = os.open(f"/proc/{shell.pid}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            real = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            _check(real, _mount_under(descriptor))
            if said == _USED:
                raise DirectoryNotEmptyError(f"{path} is not empty: name another one")
            yield descriptor, real
        finally:
            os.close(descriptor)


def led_to(path: Path) -> Path | None:
    """Returns where a path leads, once that is answered; None if it leads nowhere, or is dead.

    BLOCKS, at most some seconds: then `BusyError`.
    """
    with _shell(path) as shell:
        is_there = _said(path, shell) in (_EMPTY, _USED)
        return Path(os.readlink(f"/proc/{shell.pid}/cwd")) if is_there else None


def _said(path: Path, shell: "subprocess.Popen[bytes]") -> bytes:
    assert shell.stdout is not None
    if not select.select([shell.stdout], [], [], _LOOK_SECONDS_MAX)[0]:
        raise BusyError(f"{path} cannot be looked at: it does not answer")
    return os.read(shell.stdout.fileno(), 1)


@contextmanager
def _shell(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    shell = subprocess.Popen(
        [_SHELL, "-c", _SCRIPT, "pyi-mount", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    assert shell.stdin is not None
    assert shell.stdout is not None
    try:
        yield shell
    finally:
        shell.stdout.close()
        with suppress(BrokenPipeError):
            shell.stdin.close()
        shell.kill()
        # What waits for another mount is left behind.
        with suppress(subprocess.TimeoutExpired):
            shell.wait(0.5)


def _refuse(path: Path, said: bytes) -> None:
    if said in (_EMPTY, _USED):
        return
    if said == b"n" and mount_at(str(path)) is not None:
        raise BusyError(f"{path} is a dead mount: `pyi-mount --unmount {path}`")
    if said == b"n":
        raise NotFoundError(f"{path} does not exist: make it with `mkdir {path}`")
    if said == b"f":
        raise NotADirectoryInTreeError(f"{path} is not a directory")
    raise BusyError(f"{path} cannot be entered")


def _mount_under(descriptor: int) -> Mount | None:
    """Returns the mount that a directory is on, as far as this process sees it."""
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    numbers = [int(line.split()[1]) for line in text.splitlines() if line.startswith("mnt_id:")]
    return next((mount for mount in mounts() if mount.number in numbers), None)


def _check(path: Path, mount: Mount | None) -> None:
    if mount is None:
        raise BusyError(f"{path} is on no mount that this process sees")
    if mount.mountpoint == str(path):
        raise BusyError(f"{path} is a mountpoint already ({mount.source}): unmount that first")
    if mount.type == FILESYSTEM_TYPE:
        raise InvalidArgumentError(f"{path} lies in the mounted workspace at {mount.mountpoint}")
