"""One open store in a program, and whose turn it is in it.

The engine is one mutable thing that knows no threads: all of a store goes by one lock. The lock is
never entered twice by one thread: a signal handler or a finalizer that runs in the middle of a
commit would make a change that the commit then overwrites. Such a call is refused with
`RuntimeError`, as Python's own buffered files do; but what a file object still has to write when it
is finalized is put off until the call is over.

Errors leave as Python people know them: every `RequestError` as the `OSError` of its errno
(`FileNotFoundError`, `FileExistsError`, …), damage as `EIO`.
"""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyi_fs.engine.founding import default_store_path
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace as EngineWorkspace
from pyi_fs.errors import PyiError, RequestError
from pyi_fs.ids import WorkspaceName


def default_store() -> Path:
    """Returns the store of who names none: `$PYI_STORE`, else `~/.local/share/pyi`.

    The one place of the API that reads the environment: a program started beside `pyi-mount` would
    work in another store without a word.
    """
    return default_store_path(os.environ.get("PYI_STORE"))


class Session:
    """An open store, shared by the workspaces of a program that came from one `Workspace.open`."""

    def __init__(self, path: Path) -> None:
        """Opens the store, making it on first use."""
        self.store = Store.open(path)
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._put_off: deque[Callable[[], object]] = deque()
        self._process = os.getpid()
        self._engines: dict[WorkspaceName, tuple[EngineWorkspace, int]] = {}

    @property
    def is_mine(self) -> bool:
        """Returns whether this thread is in the middle of a turn."""
        return self._owner == threading.get_ident()

    @contextmanager
    def turn(self, *paths: object, check: Callable[[], None] | None = None) -> Iterator[None]:
        """One call's turn, which begins with `check`.

        `paths` are what an error names: one, or a source and a target.
        """
        if self.is_mine:
            raise RuntimeError("reentrant call: this thread is in the middle of another one")
        if os.getpid() != self._process:
            raise RuntimeError("the workspace was opened by another process: open it in this one")
        with self._lock:
            self._owner = threading.get_ident()
            try:
                with translated(*paths):
                    if check is not None:
                        check()
                    yield
            finally:
                while self._put_off:
                    with suppress(OSError, PyiError):
                        self._put_off.popleft()()
                self._owner = None

    def put_off(self, call: Callable[[], object]) -> None:
        """Does a call when the turn that this thread is in is over.

        Its errors are lost, as all errors of finalizers.
        """
        self._put_off.append(call)

    def engine(self, name: WorkspaceName) -> EngineWorkspace:
        """Returns an open workspace of the store; once for each call, `release` is owed.

        `NotFoundError`.
        """
        found, users = self._engines.get(name, (None, 0))
        engine = found if found is not None else EngineWorkspace(self.store, name, holder="python")
        self._engines[name] = engine, users + 1
        return engine

    def release(self, engine: EngineWorkspace) -> None:
        """Gives an open workspace back; the last one closes the store."""
        _, users = self._engines.pop(engine.name)
        if users > 1:
            self._engines[engine.name] = engine, users - 1
            return
        engine.close()
        if not self._engines:
            self.store.close()


@contextmanager
def translated(*paths: object) -> Iterator[None]:
    """Turns errors of the engine into `OSError` with errno, sentence and paths."""
    try:
        yield
    except RequestError as error:
        named = paths[:1] if len(paths) < 2 else (paths[0], None, paths[1])
        raise OSError(error.errno, str(error), *named) from error
    except PyiError as error:
        raise OSError(errno.EIO, str(error), *paths[:1]) from error
