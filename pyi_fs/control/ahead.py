"""What each command is going to make durable of memory: to be copied before it, in a thread.

See `engine/ahead.py`. Raises `RequestError` for a command that is going to be refused. What other
processes did is not looked at: the command does, and copies what was not foreseen.
"""

from pyi_fs.control import commands
from pyi_fs.control.session import Session
from pyi_fs.control.view import View
from pyi_fs.engine.ahead import Ahead, of_branch, of_keeping, of_snapshot
from pyi_fs.ids import BranchName


def of_present(session: Session, view: View) -> Ahead | None:
    """Returns what is copied before a view's branch gets a name for its present, or a branch."""
    return of_branch(session.workspace, view.name) if view.branch is not None else None


def of_taking(session: Session, view: View, data: bytes) -> Ahead | None:
    """Returns what is copied before a snapshot that is written: only a named one lasts."""
    return of_present(session, view) if commands.take_command(data).name is not None else None


def of_restoring(session: Session, view: View, data: bytes) -> Ahead | None:
    """Returns what is copied before a durable branch restores what is in memory."""
    command = commands.restore_command(data)
    if view.branch is None or view.branch.is_ephemeral:
        return None
    return of_snapshot(session.workspace, session.workspace.refs.find_snapshot(command.snapshot))


def of_making(session: Session, view: View, data: bytes) -> Ahead | None:
    """Returns what is copied before a durable branch is made of what is in memory."""
    command = commands.branch_command(data)
    if command.ephemeral:
        return None
    if command.start is None:
        return of_present(session, view)
    refs = session.workspace.refs
    if BranchName(command.start) in refs.live:
        return of_branch(session.workspace, BranchName(command.start))
    return of_snapshot(session.workspace, refs.find_snapshot(command.start))


def of_switching(session: Session, view: View, data: bytes) -> Ahead | None:  # noqa: ARG001
    """Returns what is copied before a branch is shown at the root, which makes it durable."""
    return of_keeping(session.workspace, BranchName(commands.branch_name(data)))
