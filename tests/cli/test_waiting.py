"""A mount's process is waited for with a bound, and one that is stopped not at all."""

import os
import signal
import subprocess
import time

import pytest

from pyi_fs.cli import waiting
from pyi_fs.cli.waiting import Patience, state_of
from pyi_fs.errors import BusyError


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def hangs() -> int:
    time.sleep(1000)
    return 0


def refuses() -> int:
    raise ValueError


def test_what_returns_is_returned() -> None:
    patience = Patience("it", None, 60)
    assert patience.call(lambda: 107) == 107


def test_what_raises_is_255(capfd: pytest.CaptureFixture[str]) -> None:
    assert Patience("it", None, 60).call(refuses) == 255


def test_what_takes_too_long_is_left_behind() -> None:
    with pytest.raises(BusyError, match=r"^it does not answer: its process takes more than 0 s$"):
        Patience("it does not answer", None, 0).call(hangs)


def test_the_process_is_named_and_whether_it_waits_for_a_disk(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BusyError, match=rf"its process {sleeper.pid} takes more than 0 s$"):
        Patience("it", sleeper.pid, 0).call(hangs)
    monkeypatch.setattr(waiting, "state_of", lambda pid: "D")
    with pytest.raises(BusyError, match="takes more than 0 s and waits for a disk"):
        Patience("it", sleeper.pid, 0).call(hangs)


def test_one_that_is_stopped_is_not_waited_for(sleeper: "subprocess.Popen[bytes]") -> None:
    sleeper.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)
    assert state_of(sleeper.pid) == "T"
    with pytest.raises(BusyError, match=f"process {sleeper.pid} is stopped; .*kill -CONT"):
        Patience("it", sleeper.pid, 3600).call(hangs)
    sleeper.send_signal(signal.SIGCONT)


def test_a_process_that_is_gone_has_no_state() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert state_of(process.pid) == ""
    assert state_of(os.getpid()) == "R"
