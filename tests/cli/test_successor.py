"""The next server of a mount: what it is told, and when it does not try."""

import os
import subprocess
from pathlib import Path

import pytest

from pyi_fs.cli.holder import (
    BUG,
    CHECK,
    GAVE_UP,
    HAND_OVER,
    MOUNT_TABLE,
    NoNewHolder,
    blame,
    oom_kills,
    successor_command,
)
from pyi_fs.cli.kept_locks import KeptLocks
from pyi_fs.cli.mount_request import MountRequest
from pyi_fs.cli.worker import worker_command
from pyi_fs.engine.store import Store
from pyi_fs.fuse.in_flight import DIED, KILLED
from pyi_fs.fuse.ledger import VERSION, MemoryLedger, Word
from tests.support.commands import ROOT, environment


def successor(ledger: MemoryLedger, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """Runs a successor on a ledger, with no device. `code`: how the server before ended."""
    null = os.open(os.devnull, os.O_RDWR)
    locks = KeptLocks()
    kept = [null, *ledger.descriptors, *locks.descriptors]
    try:
        return subprocess.run(
            [*successor_command(), ",".join(map(str, kept)), "title", str(code)],
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
        "oom_score": "7",
    }
    ledger.put(MOUNT_TABLE, 0, described)
    ledger.commit()
    return ledger


def test_a_check_starts_nothing_and_says_what_it_would_read(tmp_path):
    command = [*successor_command(), CHECK, str(tmp_path / "store")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode not in (0, GAVE_UP)
    assert "no store at" in done.stderr
    Store.open(tmp_path / "store").close()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"notes {VERSION}\n")


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


@pytest.mark.parametrize(
    ("code", "blamed", "unanswered"),
    [(0, 0, 3), (137, 0, 3), (139, DIED, 3), (BUG, DIED, 3), (HAND_OVER, 0, 1)],
)
def test_how_the_last_server_ended_says_whether_a_request_may_be_to_blame(
    tmp_path, code, blamed, unanswered
):
    ledger = noted(tmp_path)
    ledger.words[Word.UNANSWERED] = 2
    ledger.words[Word.OOM_KILLS] = oom_kills()
    assert successor(ledger, code).returncode not in (0, GAVE_UP)
    assert (ledger.words[Word.BLAME], ledger.words[Word.UNANSWERED]) == (blamed, unanswered)


def test_a_kill_counts_if_the_kernel_was_short_of_memory():
    assert [blame(code, is_memory_short=True) for code in (0, 137, BUG)] == [KILLED, KILLED, DIED]
    assert [blame(code, is_memory_short=False) for code in (0, 137, BUG)] == [0, 0, DIED]
    assert blame(HAND_OVER, is_memory_short=True) == 0


def test_nothing_is_imported_from_the_current_directory(tmp_path):
    (tmp_path / "pyi_fs").mkdir()
    (tmp_path / "pyi_fs/__init__.py").write_text("raise SystemExit(99)")
    for command in (successor_command(), worker_command(Path("none"))):
        done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, stdin=None)
        assert done.returncode != 99


def test_a_mount_that_has_ended_is_not_gone_on_with(tmp_path):
    """Its server went on with others, so its holder learned of the end when that one died."""
    ledger = noted(tmp_path)
    NoNewHolder(ledger).end()
    done = successor(ledger, 137)
    assert (done.returncode, done.stderr) == (0, "")
    assert ledger.words[Word.TAKEOVERS] == 0
