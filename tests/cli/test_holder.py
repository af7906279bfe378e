"""The shell that keeps a mount: what it starts, when it ends, what it costs."""

import fcntl
import gc
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyi_fs.cli import holder as module
from pyi_fs.cli.holder import NoNewHolder, ShellHolder, described
from pyi_fs.cli.kept_locks import KeptLocks
from pyi_fs.cli.mount_request import MountRequest
from pyi_fs.fuse.device import Mounted
from pyi_fs.fuse.ledger import MemoryLedger

# Counts how often it was started, notes how the one before had ended, and ends as it is told.
SUCCESSOR = """
import os, sys
path, before = sys.argv[1:]
with open(path, "a") as file:
    file.write(sys.argv[0])
with open("ends", "a") as file:
    file.write(before + " ")
codes = {codes}
code = codes[min(os.path.getsize(path), len(codes)) - 1]
os.kill(os.getpid(), 9) if code == 9 else sys.exit(code)
"""


def shell(tmp_path: Path, codes: list[int]) -> subprocess.Popen[bytes]:
    """Starts the script with a successor that ends with these codes, one after the other."""
    program = tmp_path / "s"
    program.write_text(SUCCESSOR.format(codes=codes))
    # Nobody waits here until a program has been installed.
    sleep = tmp_path / "sleep"
    sleep.write_text("#!/bin/sh\n")
    sleep.chmod(0o755)
    return subprocess.Popen(
        ["/bin/sh", "-c", module._SCRIPT, "x", sys.executable, "s", "count"],  # noqa: SLF001
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("codes", "started", "ended"),
    [
        ([0], 1, 0),
        ([9, 9, 75, 70, 0], 5, 0),
        ([9, 3], 2, 1),
        ([1, 1, 0], 3, 0),
        ([1], 8, 1),
        ([1] * 7 + [9] + [1], 16, 1),
    ],
)
def test_a_server_is_started_until_the_mount_has_ended(tmp_path, codes, started, ended):
    process = shell(tmp_path, codes)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == ended
    assert (tmp_path / "count").stat().st_size == started
    said = [137 if code == 9 else code for code in (0, *codes, *codes[-1:] * started)]
    assert (tmp_path / "ends").read_text().split() == [str(code) for code in said[:started]]


def test_nothing_is_started_when_the_first_server_says_that_it_is_over(tmp_path):
    process = shell(tmp_path, [0])
    assert process.stdin is not None
    process.stdin.write(b"end\n")
    process.stdin.close()
    assert process.wait(60) == 0
    assert not (tmp_path / "count").exists()


def test_it_keeps_the_descriptors_and_weighs_next_to_nothing(tmp_path):
    ledger = MemoryLedger()
    device = os.open(os.devnull, os.O_RDWR)
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    shown: dict[str, object] = {"device": device}
    locks = KeptLocks()
    holder = ShellHolder("pyi-holder test", lambda mounted: shown, locks)
    locks.keep({"locks/main": lock})
    fcntl.flock(lock, fcntl.LOCK_EX)
    holder.begin(Mounted(device, tmp_path, "0:1"), ledger)
    assert holder.is_begun
    assert ledger.table(module.MOUNT_TABLE)[0] == shown
    process = holder._process  # noqa: SLF001
    assert process is not None
    own = Path(f"/proc/{process.pid}")
    # The shell has begun once it waits in `read`.
    while b"pyi-holder" not in (own / "cmdline").read_bytes():
        time.sleep(0)
    held = {os.stat(own / "fd" / name).st_ino for name in os.listdir(own / "fd")}
    kept = {os.fstat(number).st_ino for number in (device, *ledger.descriptors, *locks.descriptors)}
    assert kept <= held
    rollup = (own / "smaps_rollup").read_text().splitlines()
    (dirty,) = (int(line.split()[1]) for line in rollup if line.startswith("Private_Dirty"))
    assert dirty < 600
    os.close(lock)
    del locks
    gc.collect()
    assert not is_free(tmp_path / "lock")
    holder.end()
    assert process.returncode == 0
    os.close(device)


def is_free(path: Path) -> bool:
    """Returns whether nobody has a file locked."""
    with path.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_successor_is_told_how_the_mount_was_made(tmp_path):
    request = MountRequest.from_fields(
        {
            "store": "/s\udcfe",
            "where": ["ws", None],
            "mountpoint": "/m\udcff",
            "flags": ["ro"],
            "branch": "b",
            "sync_interval": 5.0,
        }
    )
    mounted = Mounted(3, tmp_path / "m\udcff", "0:77")
    # As the ledger keeps it: names of any bytes must go through.
    kept = msgspec.msgpack.encode(described(request, Path("/log\udcff"), mounted))
    found: dict[str, Any] = msgspec.msgpack.decode(kept)
    assert MountRequest.from_fields(found["request"]) == request
    assert found["number"] == "0:77"
    assert found["mountpoint"] == os.fsencode(tmp_path) + b"/m\xff"
    assert found["log"] == b"/log\xff"
    assert found["oom_score"] == Path("/proc/self/oom_score_adj").read_text().strip()


def test_a_mistake_ends_a_server_that_has_a_holder_at_once():
    """With no `finally` run: a lock that is given up could be another process's."""
    program = (
        "from pyi_fs.cli.holder import NoNewHolder, leaving_on_bug\n"
        "from pyi_fs.fuse.ledger import MemoryLedger\n"
        "try:\n"
        "    with leaving_on_bug(NoNewHolder(MemoryLedger())):\n"
        "        raise RuntimeError\n"
        "finally:\n"
        "    print('closed')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (module.BUG, b"")
    with pytest.raises(RuntimeError), module.leaving_on_bug(None):
        raise RuntimeError


def test_a_mount_goes_on_where_no_shell_can_be_started(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "_SHELL", "/nowhere/sh")
    device = os.open(os.devnull, os.O_RDWR)
    holder = ShellHolder("pyi-holder test", lambda mounted: {}, KeptLocks())
    holder.begin(Mounted(device, tmp_path, "0:1"), MemoryLedger())
    assert not holder.is_begun
    holder.end()
    assert "nothing can keep it" in caplog.text
    os.close(device)


async def test_a_program_that_does_not_start_in_time_has_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHECK_SECONDS_MAX", 0.0)
    fault = await module.fault_of_program(tmp_path, ["/bin/sh", "-c", "read line"])
    assert fault == "the program installed now does not start within 0 s"


def test_a_shell_that_was_killed_starts_nothing(tmp_path):
    device = os.open(os.devnull, os.O_RDWR)
    holder = ShellHolder("pyi-holder test", lambda mounted: {}, KeptLocks())
    holder.begin(Mounted(device, tmp_path, "0:1"), MemoryLedger())
    process = holder._process  # noqa: SLF001
    assert process is not None
    was_begun = holder.is_begun
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert (was_begun, holder.is_begun) == (True, False)
    holder.end()
    os.close(device)


def test_a_server_knows_that_what_started_it_is_dead(monkeypatch):
    holder = NoNewHolder(MemoryLedger())
    was_begun = holder.is_begun
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert (was_begun, holder.is_begun) == (True, False)
