"""What reading and writing each control file does, to a session and one of its views.

A reader returns the whole answer. A writer does the command and returns what the descriptor's next
read gives, empty for "as if nothing had been written". Reading has no effect, but for `snapshot`.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple

import msgspec

from pyi_fs.control import ahead, answers, commands, mounting
from pyi_fs.control.log import log_line
from pyi_fs.control.session import Session
from pyi_fs.control.streamed import Streamed
from pyi_fs.control.view import View
from pyi_fs.engine.ahead import Ahead
from pyi_fs.engine.answer import Answer, line_of
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.gc_record import read_record
from pyi_fs.engine.store import Store
from pyi_fs.engine.usage_record import read_usage
from pyi_fs.errors import InvalidArgumentError, NotFoundError, RequestError
from pyi_fs.model.refs import Snapshot

Reader = Callable[[Session, View], bytes | Streamed]
# More would make `status` cost what the mount has ever listed.
_SNAPSHOT_VIEWS_TOLD_MAX = 100

Writer = Callable[[Session, View, bytes], bytes]
Continuer = Callable[[Session, View, bytes, bytes], None]
Foresight = Callable[[Session, View, bytes], Ahead | None]

BEGUN_NS: ContextVar[int] = ContextVar("begun_ns", default=0)
"""When a command that is done again was begun, by a process that died in it; 0: it is not."""


class ControlFile(NamedTuple):
    """One file of `.pyi/`.

    `acts_on_read`: a read at offset 0 changes something. `go_on`: gets what was written of a
    command that was done, and what is written after it. `blocks`: writing waits for a disk; it is
    done in a thread and touches nothing that is open here. `ahead`: what is to be copied in a
    thread before it is written. `wants_data`: a command is refused if what was written before it
    has not come here, for want of room.
    """

    mode: int
    read: Reader
    write: Writer | None = None
    acts_on_read: bool = False
    go_on: Continuer | None = None
    blocks: bool = False
    ahead: Foresight | None = None
    wants_data: bool = True


def diff_range(session: Session, view: View, text: str) -> tuple[Snapshot, Snapshot | Branch]:
    """Returns both ends of `A..B`; `A..` is up to now. `NotFoundError`.

    No name has `..` in it or begins with a dot, so the last `..` is the separator (`a...b` is `a.`
    to `b`).
    """
    first, dots, last = text.rpartition("..")
    if not dots or not first:
        raise NotFoundError(f"a diff is called A..B or A.., not '{text}'")
    start = session.workspace.find_snapshot(first)
    return start, session.workspace.find_snapshot(last) if last else _now(session, view)


def diff_file(text: str, *, quoted: bool) -> ControlFile:
    """Returns the file `diff/A..B`, or `diff0/A..B` if names are not quoted.

    The text was looked up before.
    """
    render = answers.diff_lines if quoted else answers.diff_records

    def read(session: Session, view: View) -> bytes:
        return render(session.workspace.diff(*diff_range(session, view, text)))

    return ControlFile(0o400, read)


def _now(session: Session, view: View) -> Snapshot | Branch:
    if view.snapshot is not None:
        return view.snapshot
    if view.branch is not None:
        return view.branch
    last = _last_of(session, view)
    if last is None:
        raise NotFoundError(f"branch '{view.name}' is held by another process and has no snapshot")
    return last


def _last_of(session: Session, view: View) -> Snapshot | None:
    if view.snapshot is not None:
        return view.snapshot
    if view.branch is not None:
        return session.workspace.last(view.branch)
    refs = session.workspace.refresh()
    last = refs.branch(str(view.name)).last
    return None if last is None else refs.snapshots.get(last)


def _take(session: Session, view: View) -> bytes:
    if view.snapshot is not None:
        return answers.line(Answer(view.snapshot, unchanged=True).line())
    return answers.line(session.workspace.snapshot(session.live_branch(view)).line())


def _take_named(session: Session, view: View, data: bytes) -> bytes:
    command = commands.take_command(data)
    branch = session.live_branch(view)
    return answers.line(
        session.workspace.snapshot(branch, name=command.name, message=command.message).line()
    )


def _describe(session: Session, view: View, before: bytes, after: bytes) -> None:
    """Takes the rest of a message: bash writes a name and each line of a message by itself."""
    command = commands.take_command(before + after)
    if command.name is None or command.name != commands.take_command(before).name:
        raise InvalidArgumentError("only the message of a named snapshot can be written on")
    session.describe_snapshot(view, command.name, command.message)


def _last(session: Session, view: View) -> bytes:
    last = _last_of(session, view)
    return answers.line(line_of(last)) if last is not None else b""


def _nothing(session: Session, view: View) -> bytes:  # noqa: ARG001
    return b""


def _restore(session: Session, view: View, data: bytes) -> bytes:
    command = commands.restore_command(data)
    branch = session.live_branch(view)
    restored = session.workspace.restore(branch, command.snapshot, command.path)
    return answers.line(restored.id)


def _would(ask: Callable[[Session, Branch], str]) -> Reader:
    """Returns the reader that tells what a command would do.

    That there is nothing to do is an answer too.
    """

    def read(session: Session, view: View) -> bytes:
        if view.branch is None:
            return b""
        try:
            return answers.line(ask(session, view.branch))
        except RequestError as error:
            return answers.line(str(error))

    return read


def _undo(session: Session, view: View, data: bytes) -> bytes:
    return answers.line(session.undo(view, commands.operation(data)))


def _redo(session: Session, view: View, data: bytes) -> bytes:
    commands.operation(data)
    return answers.line(session.redo(view))


def _branch(session: Session, view: View) -> bytes:  # noqa: ARG001
    return answers.line(view.name or "")


def _make_branch(session: Session, view: View, data: bytes) -> bytes:
    command = commands.branch_command(data)
    session.make_branch(command.name, view, command.start, ephemeral=command.ephemeral)
    return b""


def _fork(session: Session, view: View, data: bytes) -> bytes:
    """Forks as another process would, with a store of its own: this is a thread."""
    command = commands.fork_command(data)
    is_here = command.start is None
    at = view.name if is_here else command.start
    store = Store.open(session.workspace.store.path, create=False)
    try:
        fork_workspace(
            store,
            session.workspace.name,
            at,
            command.name,
            is_branch=is_here,
            begun_ns=BEGUN_NS.get(),
        )
    finally:
        store.close()
    return answers.line(command.name)


def _head(session: Session, view: View) -> bytes:  # noqa: ARG001
    return answers.line(session.root.name or "")


def _switch_head(session: Session, view: View, data: bytes) -> bytes:  # noqa: ARG001
    session.switch_head(commands.branch_name(data))
    return b""


def _drop(session: Session, view: View, data: bytes) -> bytes:  # noqa: ARG001
    session.drop(commands.branch_name(data))
    return b""


def _log(session: Session, view: View) -> Streamed:  # noqa: ARG001
    session.workspace.refresh()
    operations = session.workspace.log.newest_first()
    return Streamed(log_line(number, operation) for number, operation in operations)


def _status(session: Session, view: View) -> bytes:
    fields: dict[str, object] = {
        "workspace": session.workspace.name,
        "branch": view.name,
        "head": session.root.name,
        "snapshot": view.snapshot.id if view.snapshot is not None else None,
        "mountpoint": session.mountpoint,
        "read_only": view.read_only,
    }
    if view.branch is not None:
        fields = {**session.workspace.status(view.branch), **fields}
    fields["view_count"] = len(session.views)
    fields["views"] = [
        {"number": shown.number, "label": shown.label} for shown in _views_to_tell(session)
    ]
    fields["held_elsewhere"] = session.holders()
    fields["collection"] = _last_collection(session)
    fields["usage"] = _last_usage(session)
    fields.update(session.mount_status())
    return answers.json_line(fields)


def _last_collection(session: Session) -> dict[str, object] | None:
    record = read_record(session.workspace.store.storage)
    if record is None:
        return None
    return {
        "time_ns": record.ended_ns,
        "reason": record.reason,
        "freed_bytes": record.freed_bytes,
        "missing_bytes": record.missing_bytes,
    }


def _last_usage(session: Session) -> object:
    """Returns who held how much when somebody last looked: one small file, no walk."""
    workspace = session.workspace
    return msgspec.to_builtins(read_usage(workspace.store.storage, workspace.name))


def _views_to_tell(session: Session) -> list[View]:
    """Returns the views of branches, and of those of snapshots the newest few.

    A listing of `snapshots/` makes a view of each.
    """
    snapshots = [view for view in session.views.values() if view.snapshot is not None]
    hidden = {view.number for view in snapshots[:-_SNAPSHOT_VIEWS_TOLD_MAX]}
    return [view for number, view in session.views.items() if number not in hidden]


FILES: dict[bytes, ControlFile] = {
    b"snapshot": ControlFile(
        0o600, _take, _take_named, acts_on_read=True, go_on=_describe, ahead=ahead.of_taking
    ),
    b"last": ControlFile(0o400, _last),
    b"restore": ControlFile(0o600, _nothing, _restore, ahead=ahead.of_restoring),
    b"undo": ControlFile(
        0o600, _would(lambda session, branch: session.workspace.would_undo(branch)), _undo
    ),
    b"redo": ControlFile(
        0o600, _would(lambda session, branch: session.workspace.would_redo(branch)), _redo
    ),
    b"branch": ControlFile(0o600, _branch, _make_branch, ahead=ahead.of_making),
    b"fork": ControlFile(0o600, _nothing, _fork, blocks=True),
    b"mount": ControlFile(0o600, mounting.served, mounting.serve, blocks=True, wants_data=False),
    b"head": ControlFile(0o600, _head, _switch_head, ahead=ahead.of_switching),
    b"drop": ControlFile(0o600, _nothing, _drop, wants_data=False),
    b"log": ControlFile(0o400, _log),
    b"status": ControlFile(0o400, _status),
}
"""Every control file but `error` and the diffs.

`restore`, `drop` and `fork` can be read, so that a descriptor can tell why it was refused.
"""
