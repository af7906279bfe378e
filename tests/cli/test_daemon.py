"""Going to the background: what the child has, and what the caller is told."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.commands import ROOT, Done, environment, run_command

CALLER = """
import json, os, signal, sys, threading
from pathlib import Path
from pyi_fs.cli.daemon import in_background
from pyi_fs.errors import BusyError, PyiError

out = Path(sys.argv[1])
held = os.open("/dev/zero", os.O_RDONLY)
os.set_inheritable(held, True)

def prepare():
    os.dup2(os.open(out / "log", os.O_CREAT | os.O_WRONLY, 0o600), 2)

def facts():
    names = {n: os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
             if os.path.exists(f"/proc/self/fd/{n}")}
    return {"sid": os.getsid(0), "pid": os.getpid(), "cwd": os.getcwd(), "fds": names}

def work(reporter):
    MODE
    (out / "facts").write_text(json.dumps(facts()))
    reporter.note("look here")
    reporter.ready()
    (out / "after").write_text("x")

try:
    print("child", in_background(work, prepare=prepare, note=lambda text: print("note", text)))
except PyiError as error:
    print("error", error)
"""


def called(tmp_path: Path, mode: str = "pass") -> Done:
    return run_command(
        [sys.executable, "-c", CALLER.replace("MODE", mode), str(tmp_path)], cwd=ROOT
    )


def test_the_child_has_its_own_session_and_nothing_of_the_callers(tmp_path):
    done = called(tmp_path)
    facts = json.loads((tmp_path / "facts").read_text())
    assert done.output == f"note look here\nchild {facts['pid']}\n"
    assert facts["sid"] == facts["pid"]
    assert facts["cwd"] == "/"
    streams = facts["fds"]
    assert streams["0"] == streams["1"] == "/dev/null"
    assert streams["2"] == str(tmp_path / "log")
    others = [path for number, path in streams.items() if int(number) > 2]
    # The pipe to the caller and the log's own descriptor; not /dev/zero, which was inheritable.
    assert "/dev/zero" not in others
    assert sum(path.startswith("pipe:") for path in others) == 1


def test_a_refusal_reaches_the_caller_in_one_line(tmp_path):
    done = called(tmp_path, 'raise BusyError("held by\\n somebody")')
    assert done.output == "error held by somebody\n"
    assert not (tmp_path / "facts").exists()


def test_a_bug_reaches_the_caller_and_its_traceback_the_log(tmp_path):
    done = called(tmp_path, "1 / 0")
    assert done.output.startswith("error BUG: ZeroDivisionError")
    assert "Traceback" in (tmp_path / "log").read_text()


def test_a_child_that_dies_is_noticed(tmp_path):
    done = called(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    assert "ended before it was ready" in done.output


def test_the_caller_returns_while_the_child_goes_on(tmp_path):
    """The child waits for a pipe that this test holds: the caller's output still ends."""
    os.mkfifo(tmp_path / "gate")
    mode = "globals().update(gate=out / 'gate')"
    script = CALLER.replace("MODE", mode).replace(
        '(out / "after").write_text("x")', 'gate.read_text(); (out / "after").write_text("x")'
    )
    done = run_command([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT)
    assert done.output.startswith("note look here\nchild ")
    assert not (tmp_path / "after").exists()
    pid = int(done.output.split()[-1])
    watched = os.pidfd_open(pid)
    (tmp_path / "gate").write_text("go")
    # Not ours to wait for; the descriptor becomes readable at its end.
    assert select.select([watched], [], [], 60)[0]
    os.close(watched)
    assert (tmp_path / "after").exists()


def test_an_interrupted_caller_takes_the_child_with_it(tmp_path):
    os.mkfifo(tmp_path / "gate")
    script = CALLER.replace("MODE", "(out / 'gate').write_text(str(os.getpid())); signal.pause()")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.DEVNULL,
    ) as caller:
        child = int((tmp_path / "gate").read_text())
        watched = os.pidfd_open(child)
        caller.send_signal(signal.SIGINT)
        caller.wait()
        # It was waited for, so it is gone, not a zombie.
        assert select.select([watched], [], [], 0)[0]
        os.close(watched)
