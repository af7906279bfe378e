"""A process that makes system calls in a directory as some user, when it is told to.

    python -m tests.support.posix_actor DIRECTORY UID GID GROUPS

Calls come pickled on standard input and their results go the same way to standard output, so that
the caller decides in which order several processes do what.
"""

import ctypes
import errno
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.posix_calls import Call, Calls, Failed

ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1


class User(NamedTuple):
    """Who calls."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class Actor:
    """A process with a working directory and a user."""

    def __init__(self, directory: Path, user: User) -> None:
        groups = ",".join(map(str, user.groups))
        words = [str(directory), str(user.uid), str(user.gid), groups]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.posix_actor", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, call: Call) -> None:
        """Has a call made, without waiting for its result."""
        assert self._process.stdin is not None
        pickle.dump(call, self._process.stdin)
        self._process.stdin.flush()

    def result(self) -> Any:
        """Returns what the call that was started returned, or a `Failed`."""
        assert self._process.stdout is not None
        return pickle.load(self._process.stdout)

    def do(self, name: str, *arguments: object) -> Any:
        """Makes a call and returns its result or a `Failed`."""
        self.start((name, arguments))
        return self.result()

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        self._process.stdout.close()


def _outcome(calls: Calls, call: Call) -> object:
    try:
        return calls.do(*call)
    except OSError as error:
        return Failed(errno.errorcode[error.errno or 0])
    except Exception as error:  # noqa: BLE001 - what Python refuses is a result as well
        return Failed(repr(error))


def main(directory: str, uid: str, gid: str, groups: str) -> None:
    """Serves calls until standard input ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(directory)
    os.umask(0o022)
    os.setgroups([int(group) for group in groups.split(",") if group])
    os.setresgid(int(gid), int(gid), int(gid))
    os.setresuid(int(uid), int(uid), int(uid))
    calls = Calls()
    while True:
        try:
            call = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if call[0] == "chdir":
            os.chdir(call[1][0])
            result: object = None
        else:
            result = _outcome(calls, call)
        pickle.dump(result, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
