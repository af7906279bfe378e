"""The log of a mount: private, bounded, and also what is no record."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pyi_fs.cli.log_file import LOG_BYTES_MAX, log_directory, log_path
from pyi_fs.errors import ForeignFileError
from tests.support.commands import ROOT, environment

WRITER = """
import logging, os, sys
from pathlib import Path
from pyi_fs.cli.log_file import LogFile
logging.basicConfig(level=logging.INFO, handlers=[LogFile(Path(sys.argv[1]))])
for number in range(int(sys.argv[2])):
    logging.info("record %06d %s", number, "x" * 1000)
os.write(2, b"last words\\n")
"""


def written(path: Path, records: int) -> None:
    subprocess.run(
        [sys.executable, "-c", WRITER, str(path), str(records)],
        cwd=ROOT,
        env=environment(),
        check=True,
    )


def test_records_and_last_words_are_in_a_private_file(tmp_path):
    path = log_path(tmp_path, "ws", "main")
    written(path, 2)
    lines = path.read_text().splitlines()
    assert "record 000000" in lines[0]
    assert lines[2] == "last words"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_second_process_appends(tmp_path):
    path = tmp_path / "log"
    written(path, 1)
    written(path, 1)
    assert path.read_text().count("record") == 2


def test_a_full_log_moves_aside_and_the_newest_records_are_kept(tmp_path):
    path = tmp_path / "log"
    written(path, 2500)
    old = Path(f"{path}.1")
    assert path.stat().st_size <= LOG_BYTES_MAX
    assert old.stat().st_size <= LOG_BYTES_MAX
    assert "record 002499" in path.read_text()
    assert path.read_text().endswith("last words\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.1"]


def test_no_link_in_a_store_leads_a_log_elsewhere(tmp_path):
    """A store of somebody else's making; `pyi-store rm` removes the directory of logs, too."""
    outside, store = tmp_path / "outside", tmp_path / "store"
    (outside / "ws").mkdir(parents=True)
    (outside / "precious").touch()
    (store / "logs" / "ws").mkdir(parents=True)
    (store / "logs" / "ws" / "main.log").symlink_to(outside / "precious")
    with pytest.raises(ForeignFileError, match="main"):
        log_path(store, "ws", "main")
    shutil.rmtree(store / "logs")
    (store / "logs").symlink_to(outside)
    for find in (lambda: log_path(store, "ws", "main"), lambda: log_directory(store, "ws")):
        with pytest.raises(ForeignFileError, match="logs: not a directory"):
            find()


BESIDE = """
import logging, os, sys, threading
from contextvars import copy_context
from pathlib import Path
from pyi_fs.cli.log_file import LogFile, log_beside
first, second = map(Path, sys.argv[1:])
logging.basicConfig(level=logging.INFO, handlers=[LogFile(first)])
def beside():
    log = log_beside(second)
    logging.info("of the second")
    thread = threading.Thread(target=copy_context().run, args=(logging.info, "of its thread"))
    thread.start()
    thread.join()
    log.close()
    logging.info("after its end")
copy_context().run(beside)
logging.info("of the first")
os.write(2, b"last words\\n")
"""


def test_what_is_logged_of_a_mount_beside_another_is_in_its_own_log(tmp_path):
    first, second = tmp_path / "a" / "log", tmp_path / "b" / "log"
    program = [sys.executable, "-c", BESIDE, str(first), str(second)]
    subprocess.run(program, cwd=ROOT, env=environment(), check=True)
    told = [line.rpartition(": ")[2] for line in second.read_text().splitlines()]
    assert told == ["of the second", "of its thread"]
    told = [line.rpartition(": ")[2] for line in first.read_text().splitlines()]
    assert told == ["of the first", "last words"]
    assert stat.S_IMODE(second.stat().st_mode) == 0o600
