"""Making the workspace that a mount is about to show: empty, from a directory, or as a fork."""

import os
from functools import partial
from pathlib import Path

from pyi_fs.cli.arguments import is_directory, place
from pyi_fs.cli.program import counted
from pyi_fs.errors import AlreadyExistsError, NotFoundError

# More names would bury the one that was meant.
_NAMES_SHOWN_MAX = 8
_PATHS_SHOWN_MAX = 10


def exists(store: Path, name: str) -> bool:
    """Returns whether a store has a workspace, or what is left of one; opens nothing."""
    directory = store / "workspaces" / name
    return (directory / "log").exists() or (directory / "synced").exists()


def names(store: Path) -> list[str]:
    """Returns the workspaces of a store by name; opens nothing."""
    try:
        found = os.listdir(store / "workspaces")
    except OSError:
        return []
    return sorted(name for name in found if exists(store, name))


def known(store: Path) -> str:
    """Returns the workspaces of a store in a few words, for messages."""
    found = names(store)
    more = len(found) - _NAMES_SHOWN_MAX
    return ", ".join(found[:_NAMES_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")


def missing(store: Path, name: str) -> NotFoundError:
    """Returns the error for a workspace that is not there."""
    have = f"you have: {known(store)}" if known(store) else f"there is none in {store}"
    return NotFoundError(f"no workspace '{name}' ({have})")


def make_empty(store_path: Path, name: str) -> str | None:
    """Makes an empty workspace, the store too on first use; returns the sentence that says so.

    None if another mount made it meanwhile: whether both can be, the lock of the branch says.
    """
    from pyi_fs.engine.founding import create_workspace
    from pyi_fs.engine.store import Store

    have = known(store_path)
    store = Store.open(store_path)
    try:
        create_workspace(store, name)
    except AlreadyExistsError:
        return None
    finally:
        store.close()
    return f"new empty workspace '{name}'" + (f" (you have: {have})" if have else "")


def make_from(store_path: Path, name: str, source: str, mountpoint: Path) -> list[str]:
    """Makes a workspace from a directory or as a fork; returns what to tell about it."""
    if exists(store_path, name):
        raise AlreadyExistsError(
            f"workspace '{name}' exists: --from makes a new one (mount it without, or remove it "
            f"with `pyi-store rm {name}`)"
        )
    if is_directory(source):
        return _import(store_path, name, source, mountpoint)
    if os.path.isdir(source) and not exists(store_path, source.partition("@")[0]):
        raise NotFoundError(
            f"no workspace '{source}': if the directory is meant, write './{source}'"
        )
    return [fork(store_path, source, name)]


def fork(store_path: Path, source: str, name: str) -> str:
    """Makes a fork of `WORKSPACE[@SNAPSHOT]`; returns the sentence that says so."""
    from pyi_fs.cli.flushing import flush_branch
    from pyi_fs.engine.founding import fork_workspace
    from pyi_fs.engine.store import Store

    where = place(source)
    if not exists(store_path, where.workspace):
        raise missing(store_path, where.workspace)
    store = Store.open(store_path, create=False)
    try:
        flush = partial(flush_branch, store.storage)
        fork_workspace(store, where.workspace, where.at, name, flush=flush)
    finally:
        store.close()
    return f"new workspace '{name}', a fork of {where}"


def _import(store_path: Path, name: str, source: str, mountpoint: Path) -> list[str]:
    from pyi_fs.cli.progress import import_progress, size_text
    from pyi_fs.engine.importer import import_directory
    from pyi_fs.engine.store import Store

    store = Store.open(store_path)
    try:
        with import_progress(source) as progress:
            report = import_directory(
                store, Path(source), name, leave_out=(mountpoint,), progress=progress
            )
    finally:
        store.close()
    lines = [
        f"new workspace '{name}' from {source}: {counted(report.files, 'file')}, "
        f"{counted(report.directories, 'directory')}, {size_text(report.read_bytes)}"
    ]
    lines += [f"skipped {path}: {reason}" for path, reason in report.skipped[:_PATHS_SHOWN_MAX]]
    lines += _more(len(report.skipped), "skipped")
    lines += [f"changed while it was read: {path}" for path in report.changed[:_PATHS_SHOWN_MAX]]
    lines += _more(len(report.changed), "changed while they were read")
    return lines


def _more(count: int, what: str) -> list[str]:
    more = count - _PATHS_SHOWN_MAX
    return [f"and {more:,} more {what}"] if more > 0 else []
