"""Sealed files, and plain files of them, whatever room the disk of the test has."""

from pathlib import Path

from pyi_fs.engine.gc_settings import Settings, write_settings
from pyi_fs.engine.materialising import Materialiser
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import ContentDigest, PlainKey, WorkspaceName
from pyi_fs.limits import PLAIN_FILE_BYTES_MIN
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import SetAttributes
from pyi_fs.store.plain_files import PlainFile
from tests.support.engine_rig import opened, put, written
from tests.support.garbage_rig import seal_everything

ANY_ROOM = Settings(free_percent=None, plain_percent=None)


def key(number: int) -> PlainKey:
    """Returns a key that is nobody's."""
    return PlainKey(bytes([number]) * 32)


def content(number: int) -> ContentDigest:
    """Returns a digest that is of nothing."""
    return ContentDigest(bytes([number]) * 32)


def sealed(store: Store, *files: tuple[bytes, bytes]) -> list[Inode]:
    """Makes files in workspace `w`, has them sealed, and returns them as a snapshot has them."""
    with written(store, "w") as (workspace, branch):
        for name, data in files:
            put(branch, name, data)
        workspace.snapshot(branch)
    seal_everything(store)
    return [newest(store, "w", name) for name, _ in files]


def newest(store: Store, workspace: str, name: bytes) -> Inode:
    """Returns a file of the newest snapshot of a workspace."""
    opened = Workspace(store, WorkspaceName(workspace), holder="a test")
    try:
        tree = opened.snapshot_tree(opened.refs.ordered()[-1])
        return tree.existing(tree.resolve(name))
    finally:
        opened.close()


def materialised(store: Store, inode: Inode) -> PlainFile:
    """Returns the plain file of a sealed file, with any room for it."""
    if store.storage.size_bytes("gc.settings") is None:
        write_settings(store.storage, ANY_ROOM)
    made = Materialiser(store).plain(inode)
    assert made is not None
    return made


def plain_paths(store: Path) -> list[Path]:
    """Returns the plain files of a store."""
    return sorted(path for path in (store / "plain").glob("*/*-*") if path.suffix != ".tmp")


def make_base(path: Path, data: bytes) -> None:
    """Makes a store: workspace `w` with a sealed snapshot `base` of `f`, a `program`, `small`."""
    with opened(path) as store:
        program = Path("/bin/bash").read_bytes()
        assert len(program) > PLAIN_FILE_BYTES_MIN
        sealed(store, (b"f", data), (b"program", program), (b"small", b"small"))
        with written(store, "w") as (workspace, branch):
            number = branch.tree.resolve(b"program")
            branch.commit(SetAttributes(number, 0o100755, None, None, None, None, None, 1))
            workspace.snapshot(branch, name="base")
        write_settings(store.storage, ANY_ROOM)
