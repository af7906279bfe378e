"""Where the installed scripts begin: one function for each, which loads its program when called.

Loading a program takes a tenth of a second. Ctrl-C meanwhile must end it as it ends any program,
not with a traceback of imports, so SIGINT has its default action until `program.run` takes over.
Nothing is imported here that takes time itself: before this runs, only Python's own start (10 to
30 ms) is left to be interrupted with a traceback.
"""

import signal
from importlib import import_module

from pyi_fs.cli.cycles import loading


def begin(name: str) -> None:
    """Runs the program of the module `pyi_fs.cli.NAME`, which exits."""
    # Not where it is ignored, as in a job that a shell script put into the background.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    with loading():
        module = import_module(f"pyi_fs.cli.{name}")
    module.main()


def mount() -> None:
    """Begins `pyi-mount`."""
    begin("mount")


def fork() -> None:
    """Begins `pyi-fork`."""
    begin("fork")


def store() -> None:
    """Begins `pyi-store`."""
    begin("store")


def fsck() -> None:
    """Begins `pyi-fsck`."""
    begin("fsck")


def gc() -> None:
    """Begins `pyi-gc`."""
    begin("gc")


def git_export() -> None:
    """Begins `pyi-git-export`."""
    begin("git_export")


def mount_helper() -> None:
    """Begins `mount.fuse.pyi`."""
    begin("mount_helper")
