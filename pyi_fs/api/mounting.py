"""Mounting from a program: by the process that serves a mount already, through its `.pyi/mount`."""

import os
from pathlib import Path

_ANSWER_BYTES_MAX = 1 << 16


def mount(
    name: str,
    at: str | os.PathLike[str],
    *,
    beside: str | os.PathLike[str],
    branch: str | None = None,
    snapshot: str | None = None,
) -> Path:
    """Has a workspace mounted at a directory, served by what serves the mount at `beside`.

    Returns where, once it answers. On its branch, `main` by default; or a snapshot, read-only.
    `OSError` with a sentence if that cannot be: the branch is open elsewhere, say here (`EBUSY`).
    `ValueError` for a branch and a snapshot.
    """
    if branch is not None and snapshot is not None:
        raise ValueError("a branch or a snapshot, not both")
    what = f"{name}/{branch or ''}" if snapshot is None else f"{name}@{snapshot}"
    where = os.fsencode(os.path.abspath(at))
    command = what.encode() + b" " + where
    control = os.path.join(beside, ".pyi", "mount")
    descriptor = os.open(control, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.write(descriptor, command)
    except OSError as error:
        said = os.pread(descriptor, _ANSWER_BYTES_MAX, 0).decode(errors="replace").strip()
        raise OSError(
            error.errno, said or os.strerror(error.errno or 0), os.fsdecode(where)
        ) from None
    finally:
        os.close(descriptor)
    return Path(os.fsdecode(where))
