"""`mount.fuse.pyi`: what mount(8) runs for `mount -t fuse.pyi STORE#WORKSPACE MOUNTPOINT -o ...`.

util-linux looks for `/sbin/mount.TYPE` before it asks the kernel, and calls it as
`mount.fuse.pyi SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o WORDS] [-t TYPE]`, for a remount too.
Without it the `mount.fuse` of libfuse would look for a program called `pyi`.

Source: mount(8), EXTERNAL HELPERS.
"""

import os
import sys
from pathlib import Path

import click

from pyi_fs.cli import mount_flags, program
from pyi_fs.cli.arguments import parsed_label
from pyi_fs.cli.mountinfo import FILESYSTEM_TYPE, absolute, mount_at
from pyi_fs.errors import InvalidArgumentError, NotFoundError, ReadOnlyError

NAME = f"mount.{FILESYSTEM_TYPE}"
DIRECTORIES = (Path("/usr/sbin"), Path("/sbin"))


@click.command(NAME)
@click.argument("source")
@click.argument("mountpoint")
@click.option("-o", "words", metavar="WORDS", multiple=True, help="Options, separated by commas.")
@click.option("-t", "kind", metavar="TYPE", help=f"Always {FILESYSTEM_TYPE}.")
@click.option("-N", "namespace", metavar="NAMESPACE", help="Not supported.")
@click.option("-s", "sloppy", is_flag=True, help="Pass over unknown options.")
@click.option("-f", "fake", is_flag=True, help="Mount nothing.")
@click.option("-n", "-v", "ignored", is_flag=True, help="Nothing to do.")
@program.version_option(NAME)
def command(
    source: str,
    mountpoint: str,
    words: tuple[str, ...],
    kind: str | None,
    namespace: str | None,
    sloppy: bool,
    fake: bool,
    ignored: bool,  # noqa: ARG001 - no mtab is written, nothing is told
) -> int:
    """Mount SOURCE, a STORE#WORKSPACE or STORE#WORKSPACE@SNAPSHOT, at MOUNTPOINT for mount(8)."""
    if kind not in (None, FILESYSTEM_TYPE):
        raise click.UsageError(f"type {kind} is not {FILESYSTEM_TYPE}")
    if namespace is not None:
        raise click.UsageError("mounting in another namespace is not supported: use nsenter")
    every = ",".join(words)
    if "remount" in every.split(","):
        remount(absolute(mountpoint), every, sloppy=sloppy, fake=fake)
        return 0
    found = mount_flags.parsed_words(every, sloppy=sloppy)
    if fake:
        return 0
    from pyi_fs.cli import mount

    return program.exit_code(mount.command, mount_arguments(source, mountpoint, found), NAME)


def mount_arguments(source: str, mountpoint: str, found: mount_flags.MountWords) -> list[str]:
    """Returns the arguments of pyi-mount for a line of fstab."""
    store, where = parsed_label(source)
    arguments = [] if store is None else [f"--store={store}"]
    arguments += found.arguments
    # As for other filesystems, and as libfuse's own helper does: what root mounts with mount(8) may
    # have devices and set-id programs unless it says otherwise (mount(8) leaves these words out).
    flags = [*(["dev", "suid"] if os.geteuid() == 0 else []), *found.flags]
    arguments += [f"--flag={word}" for word in flags]
    arguments += ["--read-only"] if found.read_only else []
    return [*arguments, "--", str(where), mountpoint]


def remount(mountpoint: str, words: str, *, sloppy: bool = False, fake: bool = False) -> None:
    """Changes the flags of a mount. What is no flag cannot be changed while it is mounted.

    mount(8) gives all words that the mount shows already, and then those that were asked for.
    """
    mount = mount_at(mountpoint)
    if mount is None or mount.type != FILESYSTEM_TYPE:
        raise NotFoundError(f"no workspace is mounted at {mountpoint}")
    shown = set(mount.super_options) - {"ro", "rw"}
    asked = ",".join(word for word in words.split(",") if word not in shown)
    found = mount_flags.parsed_words(asked, sloppy=sloppy)
    if found.arguments:
        raise InvalidArgumentError(
            f"a remount changes flags only, not {' '.join(found.arguments)}: "
            "unmount, and mount anew"
        )
    if not found.read_only and parsed_label(mount.source)[1].at is not None:
        raise ReadOnlyError(f"{mountpoint} shows a snapshot, which cannot be written")
    if not fake:
        mount_flags.remount(mountpoint, found)


def install() -> Path:
    """Makes mount(8) find this program; returns where. `PermissionError` for all but root."""
    own = Path(sys.executable).parent / NAME
    if not own.exists():
        raise NotFoundError(f"{own} is missing: install the package with pip first")
    directory = next(path for path in DIRECTORIES if path.is_dir())
    target = directory / NAME
    temporary = directory / f".{NAME}.{os.getpid()}"
    temporary.symlink_to(own)
    temporary.replace(target)
    return target


def main() -> None:
    """Runs `mount.fuse.pyi`."""
    program.run(command)
