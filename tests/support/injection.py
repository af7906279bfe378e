"""Exceptions put into a running mount, one at a time, where somebody else asks for them.

The mount's process arms every method of the classes it is made of; a file says which of them is to
fail at its next call, and is gone when it has.
"""

import contextlib
import functools
import importlib
import inspect
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyi_fs.engine import background

CLASSES = (
    "pyi_fs.fuse.names:NameHandlers",
    "pyi_fs.fuse.metadata:MetadataHandlers",
    "pyi_fs.fuse.files:FileHandlers",
    "pyi_fs.fuse.listings:ListingHandlers",
    "pyi_fs.fuse.controls:ControlHandlers",
    "pyi_fs.fuse.reaping:Reaper",
    "pyi_fs.fuse.publishing:Publication",
    "pyi_fs.fuse.invalidation:Invalidation",
    "pyi_fs.fuse.nodes:NodeTable",
    "pyi_fs.fuse.handles:Handles",
    "pyi_fs.fuse.syncing:GroupSync",
    "pyi_fs.control.session:Session",
    "pyi_fs.control.nodes:Control",
    "pyi_fs.control.handle:ControlHandle",
    "pyi_fs.engine.background:Background",
    "pyi_fs.engine.workspace:Workspace",
    "pyi_fs.engine.branch:Branch",
    "pyi_fs.store.layer_writer:LayerWriter",
    "pyi_fs.store.oplog:OperationsLog",
    "logging:StreamHandler",
)
FUNCTIONS = ("pyi_fs.fuse.letting_go:let_go",)
LOG_WRITER = "StreamHandler.emit"
NOT_BY_US = {"StreamHandler.format", "StreamHandler.flush", "StreamHandler.setStream"}
ONCE = {
    "Background.run",
    "Background._repeat",
    "Background._changed",
    "Session.close",
    "Workspace.close",
    "Branch.close",
}
"""What is called once in the life of a mount, or for each wait of the background: two lines."""


class InjectedError(Exception):
    """Nothing is wrong."""


def names() -> list[str]:
    """Returns everything that can be made to fail."""
    found = [
        f"{owner.__name__}.{name}" for owner in map(_load, CLASSES) for name in _methods(owner)
    ]
    found += [place.partition(":")[2] for place in FUNCTIONS]
    return sorted(set(found) - NOT_BY_US - ONCE)


def arm(trigger: Path) -> None:
    """Makes each of them ask the file before it does anything. For the mount's process."""
    for owner in map(_load, CLASSES):
        for name, method in _methods(owner).items():
            setattr(owner, name, _armed(f"{owner.__name__}.{name}", method, trigger))
    for wait in ("_FAILED_SECONDS", "_TICK_SECONDS", "_LOOK_SECONDS"):
        setattr(background, wait, 0.01)
    for place in FUNCTIONS:
        module_name, _, name = place.partition(":")
        module = importlib.import_module(module_name)
        setattr(module, name, _armed(name, getattr(module, name), trigger))


def _load(place: str) -> type:
    module, _, name = place.partition(":")
    loaded: type = getattr(importlib.import_module(module), name)
    return loaded


def _methods(owner: type) -> dict[str, Callable[..., Any]]:
    return {
        name: method
        for name, method in vars(owner).items()
        if inspect.isfunction(method) and not name.startswith("__")
    }


def _armed(name: str, method: Callable[..., Any], trigger: Path) -> Callable[..., Any]:
    def ask() -> None:
        with contextlib.suppress(FileNotFoundError):
            wanted = trigger.read_text().split()
            if name in wanted:
                wanted.remove(name)
                trigger.write_text("\n".join(wanted)) if wanted else trigger.unlink()
                raise InjectedError(f"injected into {name}")

    @functools.wraps(method)
    def plain(*args: Any, **kwargs: Any) -> Any:
        ask()
        return method(*args, **kwargs)

    @functools.wraps(method)
    async def later(*args: Any, **kwargs: Any) -> Any:
        ask()
        return await method(*args, **kwargs)

    @functools.wraps(method)
    def one_by_one(*args: Any, **kwargs: Any) -> Iterator[Any]:
        ask()
        yield from method(*args, **kwargs)

    if inspect.iscoroutinefunction(method):
        return later
    return one_by_one if inspect.isgeneratorfunction(method) else plain


class Exerciser:
    """Uses a mount in every way there is, whatever fails; each round under names of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._control = root / ".pyi"
        self._round = 0

    def run(self) -> None:
        """One round. Errors of calls are what is expected."""
        self._round += 1
        here = self._root / f"round-{self._round}"
        for step in (
            self._names,
            self._data,
            self._attributes,
            self._unlinked,
            self._listings,
            self._snapshots,
            self._branches,
            self._fails,
        ):
            self._try(lambda: here.mkdir(exist_ok=True))
            step(here)
        shutil.rmtree(here, ignore_errors=True)

    @staticmethod
    def _try(*calls: Callable[[], object]) -> None:
        for call in calls:
            with contextlib.suppress(OSError):
                call()

    def _names(self, here: Path) -> None:
        a, b, c = here / "a", here / "b", here / "c"
        self._try(
            lambda: a.write_text("a"),
            lambda: b.hardlink_to(a),
            lambda: c.symlink_to("a"),
            lambda: os.readlink(c),
            lambda: os.mkfifo(here / "fifo"),
            lambda: b.rename(here / "d"),
            lambda: (here / "d").unlink(),
            lambda: (here / "sub").mkdir(),
            lambda: (here / "sub" / "x").write_text("x"),
            lambda: (here / "sub" / "x").unlink(),
            lambda: (here / "sub" / "..").stat(),
            lambda: (here / "sub").rmdir(),
            lambda: (here / "gone").stat(),
        )

    def _data(self, here: Path) -> None:
        with contextlib.suppress(OSError), (here / "data").open("w+b", buffering=0) as file:
            descriptor = file.fileno()
            self._try(
                lambda: os.pwrite(descriptor, b"x" * 5000, 0),
                lambda: os.pwrite(descriptor, b"y" * 100, 100_000),
                lambda: os.pread(descriptor, 6000, 0),
                lambda: os.posix_fallocate(descriptor, 0, 10),
                lambda: os.lseek(descriptor, 0, os.SEEK_HOLE),
                lambda: os.copy_file_range(descriptor, descriptor, 100, 0, 50_000),
                lambda: os.ftruncate(descriptor, 3000),
                lambda: os.fsync(descriptor),
            )

    def _attributes(self, here: Path) -> None:
        a = here / "a"
        self._try(
            lambda: os.chmod(a, 0o600),
            lambda: os.utime(a),
            lambda: os.chown(a, 1, 1),
            lambda: os.setxattr(a, "user.x", b"1"),
            lambda: os.getxattr(a, "user.x"),
            lambda: os.listxattr(a),
            lambda: os.removexattr(a, "user.x"),
            lambda: os.statvfs(a),
        )

    def _unlinked(self, here: Path) -> None:
        """Closing and forgetting a file without a name reaps it."""
        path = here / "unlinked"
        with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
            self._try(path.unlink, lambda: file.write(b"x"))

    def _listings(self, here: Path) -> None:
        self._try(lambda: os.listdir(here), lambda: list(os.scandir(self._control)))
        with contextlib.suppress(OSError):
            descriptor = os.open(here, os.O_RDONLY | os.O_DIRECTORY)
            self._try(lambda: os.fsync(descriptor))
            os.close(descriptor)

    def ask(self, name: str) -> str:
        return (self._control / name).read_text()

    def tell(self, name: str, text: str) -> None:
        with (self._control / name).open("w") as file:
            file.write(text)

    def _snapshots(self, here: Path) -> None:
        first = ""
        with contextlib.suppress(OSError):
            first = self.ask("snapshot").partition("\t")[0]
        held = None
        with contextlib.suppress(OSError):
            held = (here / "a").open("r+b", buffering=0)
        self._try(
            lambda: (here / "a").write_text("other"),
            lambda: self.tell("snapshot", f"name{self._round}\nmessage"),
            lambda: self.ask(f"diff/{first}.."),
            lambda: os.listdir(self._control / "snapshots"),
            lambda: (self._control / "snapshots" / first / here.name / "a").read_text(),
            lambda: self.tell("restore", f"{first}\t{here.name}/a"),
            lambda: self.tell("restore", first),
            lambda: os.listdir(here),
            lambda: self.tell("undo", "1"),
            lambda: self.tell("redo", "1"),
            lambda: self.ask("undo"),
            lambda: (self._control / "snapshots" / f"made{self._round}").mkdir(),
            lambda: (self._control / "snapshots" / f"made{self._round}").rmdir(),
        )
        if held is not None:
            with contextlib.suppress(OSError), held:
                held.write(b"to an orphan")
        for name in ("last", "log", "status", "metrics", "error", "branch", "head", "redo"):
            self._try(functools.partial(self.ask, name))

    def _branches(self, here: Path) -> None:
        other = self._control / "branches" / f"b{self._round}"
        self._try(
            lambda: self.tell("branch", f"c{self._round}"),
            lambda: self.tell("drop", f"c{self._round}"),
            other.mkdir,
            lambda: (other / "file").write_text("there"),
            lambda: os.listdir(other),
            lambda: self.tell("head", other.name),
            lambda: self.tell("head", "main"),
            other.rmdir,
        )

    def _fails(self, here: Path) -> None:
        self._try(lambda: self.tell("restore", "no such"), lambda: self.ask("error"))

    def assert_alive(self, why: str) -> None:
        """The mount does what a mount does."""
        path = self._root / "alive"
        path.write_text(why)
        assert path.read_text() == why
        assert "alive" in os.listdir(self._root), why
        assert json.loads(self.ask("status"))["workspace"] == "w", why
        path.unlink()
