"""Control commands, each done once: also if its server dies and the kernel asks again.

What a command changes of nodes, views and handles, and its answer, is one record of the ledger,
written before anybody is told. Before a command begins, the position of its branch is noted, and
before it appends to the operations log, the time of that record: should the server die in between,
its successor can tell how far the command was (`fuse/takeover.py`).

What a command leaves to do that nobody waits for (`engine/afterwards.py`) is done once its answer
has gone out, where the transport says so (`answered`); what is refused leaves nothing.

A command is a plain `def`: no request is answered and nothing else is changed while it runs.
"""

import time
from collections.abc import Awaitable, Callable, Set
from contextvars import ContextVar
from typing import TypeVar

from pyi_fs.control.files import BEGUN_NS
from pyi_fs.control.session import Session
from pyi_fs.control.view import View
from pyi_fs.format.record import encode_operation
from pyi_fs.fuse.ledger import Key, Ledger, MemoryLedger, Value, Word
from pyi_fs.fuse.translate import report
from pyi_fs.model.operation import (
    DeleteSnapshot,
    DropBranch,
    MakeBranch,
    MoveBranch,
    NameSnapshot,
    Operation,
    RestorePath,
    SwitchHead,
    TakeSnapshot,
    UndropBranch,
)

REQUEST: ContextVar[int] = ContextVar("request", default=0)
"""The number of the request that a task answers; 0 outside of tasks, and with pyfuse3."""
DONE_TABLE = "done"
BEGUN_TABLE = "begun"
"""When the commands were begun that threads do, by request."""
INTENT_TABLE = "intent"
"""The last restore of a path, encoded as in the log."""

_T = TypeVar("_T")
_REQUEST, _COUNTED, _LOGS = Word.REQUEST.value, Word.COUNTED.value, Word.COMMAND_LOGS.value
_COMMAND, _VIEW = Word.COMMAND.value, Word.COMMAND_VIEW.value
_LAYER, _OFFSET = Word.COMMAND_LAYER.value, Word.COMMAND_OFFSET.value
# What a command is for. Others (a snapshot before a restore, a reservation) are done again without
# harm.
_FINAL = (
    DeleteSnapshot
    | DropBranch
    | MakeBranch
    | MoveBranch
    | NameSnapshot
    | RestorePath
    | SwitchHead
    | TakeSnapshot
    | UndropBranch
)


class Commands:
    """Carries out the control commands of one mount."""

    def __init__(
        self, session: Session, ledger: Ledger, *, before: Callable[[], None] = lambda: None
    ) -> None:
        """Watches the operations log of the session's workspace.

        `before` is called before each command: it brings to an end what was put off.
        """
        self._session = session
        self._before = before
        self._ledger = ledger
        self._afterwards = session.workspace.afterwards
        self._begun_ns: dict[Key, int] = {}
        if isinstance(ledger, MemoryLedger):
            self._begun_ns.update(ledger.table(BEGUN_TABLE))
        if ledger.survives:
            session.workspace.log.on_intent = self._will_log

    def do(self, view: View | None, command: Callable[[], _T], kept: Callable[[_T], Value]) -> _T:
        """Returns what a command returns, once for each request.

        `view`: whose command it is. `kept`: makes of the answer what the ledger keeps. What the
        command raises has changed nothing, and is not kept.
        """
        self._before()
        # Of a task, or else the request that is being answered at once.
        request = REQUEST.get() or self._ledger.words[_REQUEST]
        if not request:
            return command()
        self._afterwards.puts_off = True
        try:
            if self._ledger.survives:
                return self._do_once(request, view, command, kept)
            return command()
        except BaseException:
            self._afterwards.run()
            raise

    def _do_once(
        self,
        request: int,
        view: View | None,
        command: Callable[[], _T],
        kept: Callable[[_T], Value],
    ) -> _T:
        words, branch = self._ledger.words, None if view is None else view.branch
        words[_VIEW] = 0 if view is None else view.number
        words[_LAYER], words[_OFFSET] = (0, 0) if branch is None else branch.position
        words[_LOGS] = words[_COUNTED] = 0
        words[_COMMAND] = words[_REQUEST] = request
        try:
            answer = command()
            self._ledger.put(DONE_TABLE, request, kept(answer))
        finally:
            self._ledger.commit()
            words[_COMMAND] = words[_REQUEST] = 0
        return answer

    async def do_in_thread(
        self,
        run_in_thread: Callable[[Callable[[], _T]], Awaitable[_T]],
        command: Callable[[], _T],
        kept: Callable[[_T], Value],
        note: Callable[[], None],
    ) -> _T:
        """Returns what a command returns that waits for a disk and changes nothing of this mount.

        Requests are answered meanwhile. If the server dies in it, it is begun again, and finds in
        `BEGUN_NS` when it was begun first. `note` is called when it has ended, in the loop: the
        ledger is for one thread.
        """
        self._before()
        request = REQUEST.get() if self._ledger.survives else 0
        if request:
            BEGUN_NS.set(self._begun_ns.pop(request, 0))
            self._ledger.put(BEGUN_TABLE, request, BEGUN_NS.get() or time.time_ns())
            self._ledger.commit()
        try:
            answer = await run_in_thread(command)
            if request:
                self._ledger.put(DONE_TABLE, request, kept(answer))
        finally:
            note()
            if request:
                self._ledger.put(BEGUN_TABLE, request, None)
                self._ledger.commit()
        return answer

    def settle(self, asked: Set[int]) -> None:
        """What a dead server had begun nobody waits for any more, but for what was asked again.

        The tasks that answer that may not have looked when it was begun yet.
        """
        for request in self._begun_ns.keys() - asked:
            del self._begun_ns[request]
            self._ledger.put(BEGUN_TABLE, request, None)

    def answered(self, request: int) -> None:
        """The answer of a request has gone out: it is not kept any longer.

        What its command left to do is done now. Never raises.
        """
        self._ledger.put(DONE_TABLE, request, None)
        if self._afterwards.puts_off:
            try:
                self._afterwards.run()
                # The next request finds them folded.
                self._session.workspace.log.fold()
            except Exception as error:  # noqa: BLE001 - it must not be the end of a mount
                report("BUG: what a command left to do", error)

    def _will_log(self, operation: Operation) -> None:
        is_aside = isinstance(operation, TakeSnapshot) and operation.automatic
        if not isinstance(operation, _FINAL) or is_aside:
            return
        if isinstance(operation, RestorePath):
            # The only one that is in a journal before it is in the log.
            self._ledger.put(INTENT_TABLE, 0, encode_operation(operation))
            self._ledger.commit()
        self._ledger.words[_LOGS] = operation.time_ns
