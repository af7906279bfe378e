"""A command in a process of its own with other tunables, that may die before any call to the disk.

    python -m tests.support.command_process COMMAND JSON ARGUMENT...

COMMAND is the name of a module of `pyi_fs.cli` (`gc`, `store`), the arguments are its own. JSON:
`settings`, dotted names of tunables and their values; `death`, the number of the storage call,
counted from 0, before which the process sends itself SIGKILL. Calls that change the disk count,
those of open files and the commits of the chunk index among them.
"""

import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pyi_fs.store import index
from pyi_fs.store.directory_files import DirectoryAppendFile
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support.commands import ROOT, Done, run_command
from tests.support.settings import apply_settings

_CHANGING: dict[type, tuple[str, ...]] = {
    DirectoryStorage: (
        *("open_append", "write_atomic", "rename", "remove", "make_directory"),
        *("remove_directory", "sync_directory", "touch"),
    ),
    DirectoryAppendFile: ("append", "extend", "sync", "write_again", "punch", "truncate"),
}


def run(command: str, *arguments: object, **options: object) -> Done:
    """Runs a command; `options` are the fields of the module's JSON."""
    return run_command(_words(command, arguments, options))


def start(command: str, *arguments: object, **options: object) -> "subprocess.Popen[str]":
    """Starts a command, whose standard output is piped; the rest as `run`."""
    return subprocess.Popen(
        _words(command, arguments, options),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _words(command: str, arguments: Sequence[object], options: Mapping[str, object]) -> list[str]:
    words = [command, json.dumps(options), *map(str, arguments)]
    return [sys.executable, "-m", "tests.support.command_process", *words]


def main(command: str, options: str, *arguments: str) -> None:
    """Runs the command as its entry point does."""
    fields = json.loads(options)
    apply_settings(fields.get("settings", {}))
    module = importlib.import_module(f"pyi_fs.cli.{command}")
    if "death" in fields:
        _die_before(fields["death"])
    sys.argv = [module.NAME, *arguments]
    module.main()


def _die_before(number: int) -> None:
    calls_left = number

    def count() -> None:
        nonlocal calls_left
        if calls_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        calls_left -= 1

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*positional: Any, **named: Any) -> Any:
            count()
            return call(*positional, **named)

        return counting

    class CountingConnection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT":
                count()
            return super().execute(sql, *parameters)

    for kind, names in _CHANGING.items():
        for name in names:
            setattr(kind, name, counted(getattr(kind, name)))
    vars(index)["connect"] = partial(sqlite3.connect, factory=CountingConnection)


if __name__ == "__main__":
    main(*sys.argv[1:])
