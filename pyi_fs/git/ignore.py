"""What the `.gitignore` files of a tree ignore, decided by git itself.

`git check-ignore` is asked, in a temporary work tree that holds nothing but the `.gitignore` files,
so the semantics are those of the installed git (negation, nesting, a directory's exclusion that
nothing below it can lift). A library for the patterns of one file would leave that part to us.

Only the tree's own files count: not the user's `core.excludesFile`, not `info/exclude`. As in git,
a `.gitignore` that is a symlink is not read.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from errno import ENAMETOOLONG
from itertools import islice
from pathlib import Path
from types import TracebackType

from pyi_fs.engine.reader import Reader
from pyi_fs.git.changes import Move, Put
from pyi_fs.git.left_out import IGNORED, LeftOut
from pyi_fs.git.repository import Git
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.inode import Inode
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree

IGNORE_FILE = b".gitignore"
# One process of git answers for so many paths; it starts in 3 ms.
_BATCH_PATHS = 8192
_PIECE_BYTES = 1 << 20


def with_rules_touched(touched: Touched, tree: Tree) -> Touched | None:
    """Returns a touched set with the directories whose `.gitignore` was touched; None: everything.

    A rule that comes or goes changes what is exported of files that nobody touched.
    """
    more = Touched(touched.inodes, touched.names)
    directories = {directory for directory, name in touched.names if name == IGNORE_FILE}
    for number in touched.inodes:
        inode = tree.inode(number)
        if inode is not None:
            directories.update(where for where, name in inode.dentries() if name == IGNORE_FILE)
    for directory in directories:
        inode = tree.inode(directory)
        if directory == ROOT_INODE:
            return None
        if inode is not None and inode.nlink:
            more.names.add((inode.parent, inode.name))
    return more


class IgnoreRules:
    """The rules of one tree, as a context: they live in a temporary directory."""

    def __init__(self, git: Git, tree: Tree, reader: Reader) -> None:
        """Makes an empty work tree for git."""
        self._git = git
        self._tree = tree
        self._reader = reader
        self._directory = tempfile.TemporaryDirectory(prefix="pyi-git-export-")
        self._top = os.fsencode(self._directory.name)
        self._known: set[bytes] = set()
        git.run(["init", "--quiet", "--template=", "--", self._directory.name])

    def __enter__(self) -> "IgnoreRules":
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the temporary directory."""
        self._directory.cleanup()

    def kept(self, puts: Iterable[Put | Move], left_out: LeftOut) -> Iterator[Put | Move]:
        """Yields what is not ignored and notes the rest."""
        source = iter(puts)
        while batch := list(islice(source, _BATCH_PATHS)):
            ignored = self._ignored([put.path for put in batch])
            for put in batch:
                if put.path in ignored:
                    left_out.add(IGNORED, put.path)
                else:
                    yield put

    def _ignored(self, paths: list[bytes]) -> set[bytes]:
        for path in paths:
            self._learn(path.rpartition(b"/")[0])
        options = ["-c", f"core.excludesFile={os.devnull}", "-c", "core.ignoreCase=false"]
        command = [*options, "check-ignore", "--no-index", "--stdin", "-z"]
        # A path may begin with a colon, which would be pathspec magic.
        data = b"".join(b"./" + path + b"\0" for path in paths)
        # Exit code 1: nothing is ignored.
        done = self._git.run(["-C", self._directory.name, *command], data=data, ok=(0, 1))
        return {path.removeprefix(b"./") for path in done.stdout.split(b"\0")}

    def _learn(self, directory: bytes) -> None:
        """Writes the `.gitignore` files of a directory and of all above it."""
        if directory in self._known:
            return
        number = ROOT_INODE
        prefix = b""
        for name in [b"", *directory.split(b"/")] if directory else [b""]:
            if name:
                child = self._tree.lookup(number, name)
                assert child is not None, "BUG: a path of the tree that is not in it"
                number, prefix = child, prefix + b"/" + name if prefix else name
            if prefix not in self._known:
                self._known.add(prefix)
                self._write(number, prefix)

    def _write(self, directory: InodeNumber, path: bytes) -> None:
        child = self._tree.lookup(directory, IGNORE_FILE)
        inode = self._tree.existing(child) if child is not None else None
        if inode is None or not inode.is_file:
            return
        # All names come from a tree and all directories are made here: none is a symlink, none
        # leads out.
        place = Path(os.fsdecode(os.path.join(self._top, path)))
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno != ENAMETOOLONG:
                raise
            # Deeper than PATH_MAX: git could not read the file in a work tree either.
            return
        with (place / ".gitignore").open("wb") as file:
            for piece in pieces(self._reader, inode):
                file.write(piece)


def pieces(reader: Reader, inode: Inode) -> Iterator[bytes]:
    """Yields the contents of a file in pieces of bounded size."""
    for offset in range(0, inode.size, _PIECE_BYTES):
        yield reader.read(inode, offset, _PIECE_BYTES)
