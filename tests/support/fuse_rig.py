"""A mount's handlers without a mount: a real store and session, a kernel that takes notes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import trio

from pyi_fs.control.session import Session
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.fuse.attributes import Entry
from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.handles import HandleId
from pyi_fs.fuse.ledger import Ledger
from pyi_fs.fuse.state import MountState
from pyi_fs.ids import Buffer, NodeId, WorkspaceName

ROOT = NodeId(1)
FILE = 0o100644
DIRECTORY = 0o040755


class User(NamedTuple):
    """Who asks."""

    uid: int
    gid: int


OWNER = User(0, 0)
OTHER = User(1001, 1002)


class NotingKernel:
    """A notifier that keeps what the kernel was told."""

    def __init__(self, *, has_epoch: bool = True) -> None:
        """Begins with nothing told."""
        self.has_epoch = has_epoch
        self.epochs = 0
        self.changed: list[NodeId] = []
        self.stored: list[tuple[NodeId, bytes]] = []
        self.listings: list[NodeId] = []
        self.entries: list[tuple[NodeId, bytes]] = []

    def epoch(self) -> None:
        """Notes it."""
        self.epochs += 1

    def store(self, node: NodeId, data: Buffer) -> None:
        """Notes it."""
        self.stored.append((node, bytes(data)))

    def attributes(self, node: NodeId) -> None:
        """Notes it."""
        self.changed.append(node)

    def listing(self, node: NodeId) -> None:
        """Notes it, and that the attributes went with it."""
        self.listings.append(node)
        self.attributes(node)

    def entry(self, parent: NodeId, name: bytes) -> None:
        """Notes it."""
        self.entries.append((parent, name))


async def run_in_thread(
    function: Callable[..., Any], *arguments: Any, abandonable: bool = False
) -> Any:
    """Runs a function in a worker thread, as the facade does."""
    return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=abandonable)


class Rig:
    """One mount's handlers, and the few calls that tests make all the time."""

    def __init__(
        self,
        directory: Path,
        *,
        branch: str = "main",
        has_epoch: bool = True,
        read_only: bool = False,
        kernel: NotingKernel | None = None,
        ledger: Ledger | None = None,
        reaps: bool = True,
    ) -> None:
        """Opens (or makes) workspace `w` of the store in `directory`."""
        self.store = Store.open(directory)
        if "w" not in self.store.workspace_names():
            create_workspace(self.store, "w")
        self.workspace = Workspace(self.store, WorkspaceName("w"))
        self.branch: Branch = self.workspace.open_branch(branch, reaps=reaps)
        self.session = Session(
            self.workspace, self.branch, read_only=read_only, control_uid=0, mountpoint="/mnt"
        )
        self.kernel = kernel or NotingKernel(has_epoch=has_epoch)
        self.now = 1_000
        self.state = MountState(
            self.session, self.kernel, run_in_thread, ledger=ledger, clock=self._clock
        )
        self.handlers = handlers = Handlers(self.state)
        self.names = handlers.names
        self.metadata = handlers.metadata
        self.files = handlers.files
        self.ranges = handlers.ranges
        self.ioctls = handlers.ioctls
        self.listings = handlers.listings
        self.reaper = handlers.reaper

    def close(self) -> None:
        """Closes everything."""
        self.session.close()
        self.workspace.close()
        self.store.close()

    def look(self, path: str, user: User = OWNER) -> Entry | None:
        """Returns what a path is, looked up name by name as the kernel would without its caches."""
        node = ROOT
        entry: Entry | None = None
        for name in path.split("/"):
            entry = self.names.lookup(node, name.encode(), user)
            if entry is None:
                return None
            node = entry.node
        return entry

    def node(self, path: str) -> NodeId:
        """Returns the node of a path that exists."""
        entry = self.look(path)
        assert entry is not None, path
        return entry.node

    def make(self, parent: NodeId, name: str, mode: int = FILE, user: User = OWNER) -> NodeId:
        """Makes a file or directory and returns its node."""
        return self.names.make(parent, name.encode(), mode, user).node

    def open(self, node: NodeId, flags: int = 0, user: User = OWNER) -> HandleId:
        """Opens a file."""
        return self.files.open(node, flags, user)

    async def write(self, path: str, data: bytes) -> None:
        """Makes a file if it is missing and writes to its beginning, by way of a handle."""
        entry = self.look(path)
        if entry is None:
            directory, _, name = path.rpartition("/")
            parent = self.node(directory) if directory else ROOT
            handle, _ = self.files.create(parent, name.encode(), FILE, 1, OWNER)
        else:
            handle = self.files.open(entry.node, 1, OWNER)
        await self.files.write(handle, 0, data)
        self.reaper.release(handle)

    async def read(self, path: str) -> bytes:
        """Returns a file's bytes, by way of a handle."""
        handle = self.files.open(self.node(path), 0, OWNER)
        data = bytes(await self.files.read(handle, 0, 1 << 20))
        self.reaper.release(handle)
        return data

    async def command(self, name: str, text: str) -> None:
        """Writes to a control file of the root."""
        handle = self.files.open(self.node(f".pyi/{name}"), 1, OWNER)
        try:
            await self.files.write(handle, 0, text.encode())
        finally:
            self.reaper.release(handle)

    async def snapshot(self) -> str:
        """Takes a snapshot and returns its id."""
        return (await self.read(".pyi/snapshot")).decode().split("\t")[0]

    def list(self, node: NodeId, user: User = OWNER) -> list[str]:
        """Returns the names in a directory but `.` and `..`, each counted as looked up."""
        handle = self.listings.opendir(node, user)
        listed = [item for item in self.listings.readdir(handle, 0) if item.next_offset > 2]
        self.listings.listed(item.entry.node for item in listed)
        self.reaper.release(handle)
        return [item.name.decode() for item in listed]

    def _clock(self) -> int:
        self.now += 1
        return self.now
