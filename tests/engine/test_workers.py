"""Workers: done or not, and never longer than who started them."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pyi_fs.cli.worker import worker_command
from pyi_fs.engine.store import Store
from pyi_fs.engine.workers import Workers
from tests.support.commands import PATIENCE_SECONDS, ROOT

NOTHING = [sys.executable, "-c", "pass"]
REFUSES = [sys.executable, "-c", "import sys; print('no room', file=sys.stderr); sys.exit(3)"]
# As a worker that is in the middle of something; says its number to who waits for that.
WAITS = (
    "import os, sys, time; from pyi_fs.cli import worker; sys.argv[1:] = ['{store}', 'gone'];"
    "say = lambda: open('{said}', 'w').write(str(os.getpid()));"
    "worker.Store.open = lambda *_, **__: (say(), time.sleep(600));"
    "worker.main()"
)


async def test_done_is_true_and_refused_is_false_with_a_line_in_the_log(caplog) -> None:
    assert await Workers(NOTHING).do("table")
    assert not await Workers(REFUSES).do("table")
    assert "worker table ended with 3: no room" in caplog.text
    assert not await Workers(["/nowhere/at/all"]).do("table")
    assert "no worker process" in caplog.text


async def test_a_worker_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """With `PR_SET_PDEATHSIG` it was killed when trio's thread ended, after ten idle seconds."""
    Store.open(tmp_path / "store").close()
    code = (
        "import signal, sys; from pyi_fs.cli import worker;"
        "sys.argv[1:] = [sys.argv[1], 'frob'];"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0));"
        "import ctypes; value = ctypes.c_int(-1);"
        "worker.main(); ctypes.CDLL(None).prctl(2, ctypes.byref(value)); sys.exit(value.value)"
    )
    assert await Workers([sys.executable, "-c", code]).do(os.fspath(tmp_path / "store"))


@pytest.mark.slow
@pytest.mark.parametrize("outlives", [False, True])
def test_a_worker_ends_with_the_process_that_started_it(tmp_path: Path, outlives: bool) -> None:
    """Unless it is to be finished."""
    said = tmp_path / "said"
    os.mkfifo(said)
    child = [sys.executable, "-c", WAITS.format(store=tmp_path, said=said)]
    code = (
        "import functools, trio; from pyi_fs.engine import workers;"
        f"trio.run(functools.partial(workers.Workers({child}).do, outlives={outlives}))"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
        with said.open("rb") as file:
            worker = int(file.read())
        ended = os.pidfd_open(worker)
        process.kill()
    found, _, _ = select.select([ended], [], [], 0 if outlives else PATIENCE_SECONDS)
    signal.pidfd_send_signal(ended, signal.SIGKILL)
    os.close(ended)
    assert bool(found) is not outlives


def test_the_worker_program_of_a_store_is_named(tmp_path: Path) -> None:
    assert worker_command(tmp_path)[-1] == str(tmp_path)
