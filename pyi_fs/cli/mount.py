"""`pyi-mount`: mounts a workspace, making it if need be.

And the end of mounts, and what they need.
"""

import logging
import os
import signal
import stat
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from pyi_fs.cli import asking, checks, mount_helper, unmounting, workspaces
from pyi_fs.cli.arguments import Place, Seconds, place
from pyi_fs.cli.completion import directories, workspace_names
from pyi_fs.cli.cycles import loading
from pyi_fs.cli.daemon import Reporter, in_background
from pyi_fs.cli.gc_settings import Size
from pyi_fs.cli.log_file import FORMAT, LogFile
from pyi_fs.cli.mount_flags import check_flags
from pyi_fs.cli.mount_request import MountRequest
from pyi_fs.cli.mountinfo import FILESYSTEM_TYPE, absolute, mount_at
from pyi_fs.cli.process_title import set_command_line
from pyi_fs.cli.program import complain, run, store_option, store_path, version_option
from pyi_fs.errors import (
    AccessDeniedError,
    BusyError,
    DirectoryNotEmptyError,
    NotFoundError,
    UnsupportedError,
)

NAME = "pyi-mount"


@click.command(NAME, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument(
    "workspace", metavar="WORKSPACE[@SNAPSHOT]", required=False, shell_complete=workspace_names
)
@click.argument("mountpoint", required=False, shell_complete=directories)
@store_option
@click.option("--branch", metavar="NAME", help="The branch at the root (default: main).")
@click.option(
    "--from",
    "source",
    metavar="DIR|WORKSPACE[@SNAPSHOT]",
    help="Fill a new workspace: from a directory (with a '/', or '.' or '..'), or as a fork.",
)
@click.option("--must-exist", is_flag=True, help="Refuse to make a workspace.")
@click.option("--read-only", is_flag=True, help="Show the newest snapshot; change nothing.")
@click.option("--over", is_flag=True, help="Mount over a directory that is not empty.")
@click.option(
    "--snapshot-every", type=Seconds(), help="Take snapshots, skipped when nothing changed."
)
@click.option(
    "--sync-interval", type=Seconds(), help="At most so much is lost to power loss (default: 30s)."
)
@click.option(
    "--ephemeral-bytes",
    type=Size(),
    help="Memory for the ephemeral branches of the store (default: a quarter of it).",
)
@click.option("--writeback", is_flag=True, help="Use the kernel's writeback cache.")
@click.option(
    "--transport",
    type=click.Choice(["auto", "pyfuse3", "direct"]),
    help="What speaks to the kernel (default: auto). See docs/transport.md.",
)
@click.option(
    "--spin-us",
    type=click.FloatRange(0, 1000),
    metavar="US",
    help="Poll so long for the next request before sleeping (default: 50).",
)
@click.option("--allow-other", is_flag=True, help="Let other users use the mount.")
@click.option(
    "--control-uid",
    type=click.IntRange(0),
    metavar="UID",
    help="Who may use .pyi/ (default: who mounts).",
)
@click.option(
    "--no-holder", is_flag=True, help="Let the mount end with the process that serves it."
)
@click.option(
    "--beside",
    metavar="MOUNTPOINT",
    shell_complete=directories,
    help="Have the process of a live mount serve this one, too.",
)
@click.option("--flag", "flags", multiple=True, hidden=True)
@click.option("--foreground", is_flag=True, help="Stay, and log to standard error.")
@click.option(
    "--unmount",
    metavar="MOUNTPOINT",
    shell_complete=directories,
    help="End a mount, all being durable.",
)
@click.option(
    "--upgrade",
    metavar="MOUNTPOINT",
    shell_complete=directories,
    help="Have a live mount served by the program as it is installed now.",
)
@click.option("--check", is_flag=True, help="Say what is missing for mounting here.")
@click.option(
    "--install-helper",
    is_flag=True,
    help="Let `mount -t fuse.pyi` and /etc/fstab work (as root).",
)
@version_option(NAME)
def command(
    workspace: str | None,
    mountpoint: str | None,
    store: str | None,
    unmount: str | None,
    upgrade: str | None,
    check: bool,
    install_helper: bool,
    **options: Any,
) -> int:
    """Mount WORKSPACE at MOUNTPOINT, in the background, and return once it answers.

    A workspace that does not exist is made. A snapshot mounts read-only. See docs/commands.md.
    """
    if "" in (unmount, upgrade, mountpoint, options["beside"]):
        # An empty variable of a script, which would be the current directory.
        raise click.UsageError("the mountpoint is empty")
    if unmount is not None:
        if workspace is not None:
            raise click.UsageError(f"--unmount takes one mountpoint, not also '{workspace}'")
        unmounting.unmount(unmount)
        return 0
    if upgrade is not None:
        from pyi_fs.cli import upgrading

        click.echo(upgrading.upgrade(upgrade))
        return 0
    if check:
        return _check(store_path(store), allow_other=options["allow_other"])
    if install_helper:
        click.echo(f"installed {mount_helper.install()}")
        return 0
    if not workspace or not mountpoint:
        raise click.UsageError("WORKSPACE and MOUNTPOINT are needed")
    where = place(workspace)
    if where.at is not None and (options["branch"] or options["source"]):
        raise click.UsageError("a snapshot excludes --branch and --from")
    if options["source"] and options["branch"] not in (None, "main"):
        # Before anything is read: a directory may take an hour.
        raise click.UsageError("what --from makes has only the branch 'main'")
    return _mount(store_path(store), where, mountpoint, **options)


def _check(store: Path, *, allow_other: bool) -> int:
    found = checks.lacks(store, allow_other=allow_other)
    for lack in found:
        click.echo(str(lack))
    if not found:
        click.echo("nothing is missing")
    return 1 if any(lack.is_fatal for lack in found) else 0


def _mount(
    store: Path, where: Place, mountpoint: str, *, beside: str | None, **options: Any
) -> int:
    if beside is None:
        return _mount_anew(store, where, mountpoint, **options)
    asking.check_options(options)
    asked, path = asking.check_beside(beside, store), Path(absolute(mountpoint))
    request = MountRequest(store, where, path, options["branch"])
    _check_mountpoint(path, over=False)
    _make_workspace(request, options["source"], must_exist=options["must_exist"])
    asking.ask(asked, where, options["branch"], path)
    return 0


def _mount_anew(
    store: Path,
    where: Place,
    mountpoint: str,
    *,
    source: str | None,
    must_exist: bool,
    over: bool,
    foreground: bool,
    no_holder: bool,
    **options: Any,
) -> int:
    path = Path(absolute(mountpoint))
    request = MountRequest(store, where, path, holder=not no_holder, **options)
    check_flags(request.flags)
    for lack in checks.lacks(store, allow_other=request.allow_other):
        if lack.is_fatal:
            raise UnsupportedError(str(lack))
    _check_mountpoint(path, over=over)
    _make_workspace(request, source, must_exist=must_exist)
    checks.raise_descriptor_limit()
    checks.raise_file_size_limit()
    if foreground:
        _serve_here(request)
        return 0
    log = request.log
    in_background(
        partial(_serve_reporting, request, log),
        prepare=partial(_log_to, log),
        note=partial(complain, NAME),
    )
    return 0


def _check_mountpoint(path: Path, *, over: bool) -> None:
    """Clears a dead mount away, and refuses what should not be mounted over."""
    while unmounting.is_stale(str(path)):
        mount = mount_at(str(path))
        if mount is None or mount.type != FILESYSTEM_TYPE:
            raise BusyError(f"{path} is a dead mount, not one of ours: `fusermount3 -uz {path}`")
        unmounting.detach(str(path))
        complain(NAME, f"cleared away the dead mount at {path}")
    try:
        status = path.stat()
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist: make it with `mkdir {path}`") from None
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(20, "Not a directory", str(path))
    _check_owner(path, status)
    if over:
        return
    mount = mount_at(str(path))
    if mount is not None:
        raise BusyError(
            f"{path} is a mountpoint already ({mount.source}): unmount that first, or use --over"
        )
    with os.scandir(path) as entries:
        is_empty = next(entries, None) is None
    if not is_empty:
        raise DirectoryNotEmptyError(f"{path} is not empty: name another one, or use --over")


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Refuses what fusermount3 would, before anything is made for it (`check_perm` there)."""
    if os.geteuid() == 0:
        return
    is_others = status.st_mode & stat.S_ISVTX and status.st_uid != os.geteuid()
    if is_others or not os.access(path, os.W_OK):
        raise AccessDeniedError(
            f"{path} is not a directory that this user may write to and mount on: name another "
            "one, or mount as root"
        )


def _make_workspace(request: MountRequest, source: str | None, *, must_exist: bool) -> None:
    name = request.where.workspace
    if source is not None:
        for line in workspaces.make_from(request.store, name, source, request.mountpoint):
            complain(NAME, line)
    elif not workspaces.exists(request.store, name):
        # Nobody meant a new one who named something in it.
        if must_exist or request.where.at is not None or request.branch not in (None, "main"):
            raise workspaces.missing(request.store, name)
        made = workspaces.make_empty(request.store, name)
        if made is not None:
            complain(NAME, made)


def _log_to(path: Path) -> None:
    logging.basicConfig(level=logging.INFO, handlers=[LogFile(path)])


def _show_names(request: MountRequest) -> None:
    """Has ps(1) name workspace and mountpoint, where that was typed as a relative path."""
    if str(request.mountpoint) not in sys.argv:
        branch = [f"--branch={request.branch}"] if request.branch else []
        set_command_line([NAME, *branch, str(request.where), str(request.mountpoint)])


def _serve_here(request: MountRequest) -> None:
    with loading():
        from pyi_fs.cli.sessions import serve

    _show_names(request)
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    # A closed terminal is no reason to keep the mount.
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    serve(
        request,
        ready=lambda: complain(NAME, f"mounted at {request.mountpoint}; Ctrl-C unmounts"),
        note=partial(complain, NAME),
    )


def _serve_reporting(request: MountRequest, log: Path, reporter: Reporter) -> None:
    with loading():
        from pyi_fs.cli.holder import ShellHolder, described
        from pyi_fs.cli.kept_locks import KeptLocks
        from pyi_fs.cli.sessions import serve

    _show_names(request)
    holder = locks = None
    if request.holder:
        title, locks = f"pyi-holder {request.where} {request.mountpoint}", KeptLocks()
        holder = ShellHolder(title, partial(described, request, log), locks)
    serve(request, ready=reporter.ready, note=reporter.note, holder=holder, kept_locks=locks)


def main() -> None:
    """Runs `pyi-mount`."""
    run(command)
