"""The server that goes on with a mount whose server is dead; its holder starts it.

    python -m pyi_fs.cli.successor DEVICE,LEDGER,LEDGER,LEDGER,LEDGER,LOCKS,LOCKS TITLE CODE
    python -m pyi_fs.cli.successor --check STORE

Not for people. CODE: the exit code of the server before, 0 if that is not known. Exit code 0: the
mount has ended; 3: it cannot be gone on with; anything else: try again.
"""

import logging
import os
import sys
import time
from pathlib import Path

from pyi_fs.cli.cycles import loading
from pyi_fs.cli.holder import (
    BUG,
    CHECK,
    GAVE_UP,
    HAND_OVER,
    MOUNT_TABLE,
    NoNewHolder,
    blame,
    leave_to_successor,
    oom_kills,
    set_oom_score,
)
from pyi_fs.cli.kept_locks import KeptLocks
from pyi_fs.cli.log_file import LogFile
from pyi_fs.cli.mount_request import MountRequest
from pyi_fs.cli.process_title import set_command_line
from pyi_fs.errors import FormatUnknownError
from pyi_fs.fuse.device import Mounted
from pyi_fs.fuse.ledger import VERSION, MemoryLedger, Word
from pyi_fs.fuse.mount import Continued

log = logging.getLogger(__name__)

_UNANSWERED_MAX = 8


def main() -> int:
    """Serves until the mount is gone."""
    if sys.argv[1] == CHECK:
        return _check(Path(sys.argv[2]))
    device, *ledger_descriptors, first, second = map(int, sys.argv[1].split(","))
    try:
        ledger = MemoryLedger(tuple(ledger_descriptors))
    except FormatUnknownError as error:
        sys.stderr.write(f"pyi-mount: {error}: the mount ends\n")
        return GAVE_UP
    described = ledger.table(MOUNT_TABLE).get(0)
    if described is None:
        # It has ended, and what served it had others to go on with.
        return 0
    request = MountRequest.from_fields(described["request"])
    set_oom_score(described["oom_score"])
    logging.basicConfig(level=logging.INFO, handlers=[LogFile(Path(os.fsdecode(described["log"])))])
    set_command_line(["pyi-mount", str(request.where), str(request.mountpoint)])
    words, code = ledger.words, int(sys.argv[3])
    killed_before, words[Word.OOM_KILLS] = words[Word.OOM_KILLS], oom_kills()
    words[Word.BLAME] = blame(code, is_memory_short=words[Word.OOM_KILLS] > killed_before)
    words[Word.TAKEOVERS] += 1
    words[Word.UNANSWERED] = 1 if code == HAND_OVER else words[Word.UNANSWERED] + 1
    if words[Word.UNANSWERED] > _UNANSWERED_MAX:
        log.error("%d servers in a row answered nothing: the mount ends", _UNANSWERED_MAX)
        return GAVE_UP
    if words[Word.UNANSWERED] > 1:
        # What was wrong may take a moment to pass.
        time.sleep(0.05 * 2 ** words[Word.UNANSWERED])
    log.warning("the server of %s is gone: going on", request.mountpoint)
    # Not looked at: a server that asks for its own mountpoint waits for itself.
    mounted = Mounted(device, Path(os.fsdecode(described["mountpoint"])), described["number"])
    try:
        _serve(request, Continued(mounted, ledger), KeptLocks((first, second)))
    except BaseException:
        log.exception("BUG: the server failed")
        leave_to_successor(BUG)
    return 0


def _check(store: Path) -> int:
    """Does what can go wrong before a mount is gone on with; prints what it would read of it."""
    with loading():
        from pyi_fs.cli import serving

    serving.check(store)
    sys.stdout.write(f"notes {VERSION}\n")
    return 0


def _serve(request: MountRequest, continued: Continued, locks: KeptLocks) -> None:
    with loading():
        from pyi_fs.cli.sessions import serve

    serve(
        request,
        ready=lambda: log.info("going on at %s", request.mountpoint),
        note=log.info,
        holder=NoNewHolder(continued.ledger),
        continued=continued,
        kept_locks=locks,
    )


if __name__ == "__main__":
    sys.exit(main())
