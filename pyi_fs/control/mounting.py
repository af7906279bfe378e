"""The control file `mount`: has the process that serves a mount serve another one beside it."""

from pyi_fs.control import answers
from pyi_fs.control.commands import mount_command
from pyi_fs.control.session import Session
from pyi_fs.control.view import View
from pyi_fs.errors import UnsupportedError


def serve(session: Session, view: View, data: bytes) -> bytes:  # noqa: ARG001
    """Mounts what is named; returns where, as a line. For a thread."""
    command = mount_command(data)
    if session.beside is None:
        raise UnsupportedError(f"{session.mountpoint} is served by what serves one mount only")
    return answers.quoted(session.beside.serve(command)) + b"\n"


def served(session: Session, view: View) -> bytes:  # noqa: ARG001
    """Returns a line for each mount of this process: what it shows, a TAB, and where it is."""
    mounts = [] if session.beside is None else session.beside.served()
    return b"".join(b"%s\t%s\n" % (what.encode(), answers.quoted(path)) for what, path in mounts)
