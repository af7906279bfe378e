"""The next server of a mount: what it is told, and when it does not try."""

import os
import subprocess
import sys

from pyi_fs.cli.holder import GAVE_UP, MOUNT_TABLE
from pyi_fs.cli.mount_request import MountRequest
from pyi_fs.fuse.ledger import MemoryLedger, Word
from tests.support.commands import ROOT, environment


def successor(ledger: MemoryLedger) -> "subprocess.CompletedProcess[str]":
    """Runs a successor on a ledger, with no device."""
    null = os.open(os.devnull, os.O_RDWR)
    kept = [null, *ledger.descriptors]
    try:
        return subprocess.run(
            [sys.executable, "-m", "pyi_fs.cli.successor", ",".join(map(str, kept)), "title"],
            cwd=ROOT,
            env=environment(),
            pass_fds=kept,
            check=False,
            capture_output=True,
            text=True,
        )
    finally:
        os.close(null)


def noted(tmp_path) -> MemoryLedger:
    """Returns the ledger of a mount whose store is not there."""
    fields = {
        "store": str(tmp_path / "none"),
        "where": ["ws", None],
        "mountpoint": "/m",
        "flags": [],
    }
    ledger = MemoryLedger()
    described = {
        "request": MountRequest.from_fields(fields).fields(),
        "log": str(tmp_path / "log"),
        "mountpoint": "/m",
        "number": "0:1",
        "locks": {},
    }
    ledger.put(MOUNT_TABLE, 0, described)
    ledger.commit()
    return ledger


def test_notes_of_another_version_end_the_mount(tmp_path):
    ledger = noted(tmp_path)
    ledger.words[Word.VERSION] += 1
    done = successor(ledger)
    assert done.returncode == GAVE_UP
    assert "the mount ends" in done.stderr


def test_after_eight_servers_that_answered_nothing_none_tries(tmp_path):
    ledger = noted(tmp_path)
    ledger.words[Word.UNANSWERED] = 8
    assert successor(ledger).returncode == GAVE_UP
    assert "8 servers in a row answered nothing: the mount ends" in (tmp_path / "log").read_text()


def test_one_that_cannot_begin_says_why_and_is_not_the_last(tmp_path):
    ledger = noted(tmp_path)
    assert successor(ledger).returncode not in (0, GAVE_UP)
    assert "no store at" in (tmp_path / "log").read_text()
    assert (ledger.words[Word.TAKEOVERS], ledger.words[Word.UNANSWERED]) == (1, 1)
