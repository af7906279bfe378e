"""Mounting from a program: by the process that serves a mount already, through its `.pyi/mount`."""

import os
from pathlib import Path

from pyi_fs.model.refs import check_ref_name

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
    # A blank in a name would end it, and begin the mountpoint.
    branch = check_ref_name(branch) if branch is not None else ""
    check_ref_name(name)
    what = f"{name}/{branch}" if snapshot is None else f"{name}@{snapshot}"
    where = os.fsencode(os.path.abspath(at))
    # A newline at its end is taken off: one of the path itself has to stay.
    command = os.fsencode(what) + b" " + where + b"\n"
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
