"""`pyi-mount --beside`: asks what serves a mount to serve another one, through its `.pyi/mount`."""

import os
from pathlib import Path

import click

from pyi_fs.cli.arguments import Place, parsed_label
from pyi_fs.cli.mountinfo import absolute, our_mount_at
from pyi_fs.errors import InvalidArgumentError, RequestError, UnsupportedError
from pyi_fs.model.refs import check_ref_name

_ANSWER_BYTES_MAX = 1 << 16
# As `MountRequest` has it when nobody asked for anything.
_UNASKED = (None, False, ())


def check_options(options: dict[str, object]) -> None:
    """Refuses options that a mount beside another one cannot have: it is made as that one was."""
    for name, value in options.items():
        if value not in _UNASKED and name not in ("branch", "source", "must_exist"):
            option = name.rstrip("s") if name == "flags" else name
            raise click.UsageError(
                f"--beside excludes --{option.replace('_', '-')}: the mount is made as the one "
                "beside it was"
            )


def check_beside(beside: str, store: Path) -> Path:
    """Returns the mountpoint to ask.

    `NotFoundError` and `InvalidArgumentError` if there is no mount of ours, or it is of another
    store.
    """
    mountpoint = absolute(beside)
    mount = our_mount_at(mountpoint)
    found, _ = parsed_label(mount.source)
    if found is not None and found != store:
        raise InvalidArgumentError(
            f"{mountpoint} is of the store {found}, and what it serves beside is, too: not {store}"
        )
    return Path(mountpoint)


def ask(beside: Path, where: Place, branch: str | None, mountpoint: Path) -> None:
    """Returns when the new mount answers. `RequestError` with the sentence of who refused it.

    `InvalidArgumentError` for what is no branch's name.
    """
    # A blank in it would end it, and begin the mountpoint.
    branch = check_ref_name(branch) if branch is not None else ""
    what = str(where) if where.at is not None else f"{where.workspace}/{branch}"
    try:
        descriptor = os.open(beside / ".pyi" / "mount", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UnsupportedError(
            f"what serves {beside} cannot serve others: `pyi-mount --upgrade {beside}`"
        ) from None
    try:
        # A newline at its end is taken off: one of the path itself has to stay.
        os.write(descriptor, os.fsencode(f"{what} {mountpoint}\n"))
    except OSError as error:
        said = os.pread(descriptor, _ANSWER_BYTES_MAX, 0).decode(errors="replace").strip()
        raise RequestError(said or str(error)) from None
    finally:
        os.close(descriptor)
