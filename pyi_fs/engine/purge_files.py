"""Which files a path ever meant, and under which numbers other workspaces have them. Reads only.

A number means one file in one workspace, and the same file in its forks if the fork began with it:
else the fork has given the number out itself. So a file is a *domain*, which is the layers of one
workspace, and a number; `Files.key` takes a number of a layer to the domain that gave it out.

A path is looked for after every record that gives a name, not only in snapshots: what was there for
a moment is in the journals for ever. Part of `engine/purge.py`; `docs/decisions/0005-purge.md`.
"""

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from pyi_fs.engine.history import History
from pyi_fs.engine.references import all_layers
from pyi_fs.engine.store import Store
from pyi_fs.errors import (
    CorruptRecordError,
    FormatUnknownError,
    InvalidArgumentError,
    NotADirectoryInTreeError,
    NotFoundError,
)
from pyi_fs.format.record import LayerHeader
from pyi_fs.ids import ROOT_INODE, InodeNumber, LayerId, Position, WorkspaceName
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import Create, Graft, Link, Mutation, Rename
from pyi_fs.model.operation import (
    Begin,
    Continue,
    MakeBranch,
    MoveBranch,
    Operation,
    RestorePath,
    TakeSnapshot,
)
from pyi_fs.model.refs import Refs
from pyi_fs.model.tree import Tree
from pyi_fs.store import layout
from pyi_fs.store.journal import read_header, read_synced, replay
from pyi_fs.store.oplog import OperationsLog


class Domain(NamedTuple):
    """Who gives numbers out.

    A workspace; with `top` not 0 one that is gone, or had the name before: then the first layer.
    """

    workspace: str
    top: LayerId = LayerId(0)


class FileKey(NamedTuple):
    """A file, whatever workspace shows it."""

    domain: Domain
    number: InodeNumber


class Files:
    """Says which file a number of a layer is."""

    def __init__(self, store: Store, history: History) -> None:
        """Reads all headers and logs; `CorruptRecordError` for a header that was durable once."""
        self._history = history
        self.headers = dict(_headers(store))
        self.logs: dict[WorkspaceName, list[Operation]] = {}
        self.refs: dict[WorkspaceName, Refs] = {}
        self._begins: dict[Domain, Position | None] = {}
        self._domains: dict[LayerId, Domain] = {}
        for name in store.workspace_names():
            try:
                log = OperationsLog(store.storage, name)
            except NotFoundError:
                continue
            self.logs[name] = [operation for _, operation in log.operations()]
            self.refs[name] = log.refs
            log.close()
        for name, operations in self.logs.items():
            self._take_own(name, operations)

    def _take_own(self, name: WorkspaceName, operations: list[Operation]) -> None:
        domain = Domain(name)
        self._begins[domain] = None
        for operation in operations:
            match operation:
                case Begin():
                    first = Position(*operation.position)
                    header = self.headers.get(first.layer)
                    is_own = header is not None and header.workspace == name
                    if is_own and header is not None and header.parent is None:
                        self._domains[first.layer] = domain
                    else:
                        self._begins[domain] = first
                case Continue():
                    self._domains[operation.layer] = domain
                case _:
                    pass

    def domain(self, layer: LayerId) -> Domain:
        """Returns whose numbers a layer uses."""
        way = [layer]
        while way[-1] not in self._domains:
            header = self.headers.get(way[-1])
            start = Position(*header.parent) if header is not None and header.parent else None
            parent = self.headers.get(start.layer) if start is not None else None
            if header and start and parent and parent.workspace == header.workspace:
                way.append(start.layer)
                continue
            found = Domain(header.workspace if header is not None else "", way[-1])
            self._begins[found] = start
            self._domains[way[-1]] = found
        for step in way:
            self._domains[step] = self._domains[way[-1]]
        return self._domains[layer]

    def key(self, layer: LayerId, number: InodeNumber) -> FileKey:
        """Returns the file that a number is in the journal and the base of a layer."""
        domain = self.domain(layer)
        while (begin := self._begins[domain]) is not None and self._had(begin, number):
            domain = self.domain(begin.layer)
        return FileKey(domain, number)

    def _had(self, position: Position, number: InodeNumber) -> bool:
        try:
            return self._history.tree(position).inode(number) is not None
        except NotFoundError:
            # A power loss took the start.
            return False


def _headers(store: Store) -> Iterator[tuple[LayerId, LayerHeader]]:
    for layer in all_layers(store.storage):
        try:
            yield layer, read_header(store.storage, layer)[0]
        except FileNotFoundError:
            continue
        except FormatUnknownError:
            synced = read_synced(store.storage, layer)
            if synced:
                path = layout.journal(layer)
                expected = f"a header (synced to {synced})"
                raise CorruptRecordError(path, 0, expected, "damage") from None


def clean_path(path: bytes) -> bytes:
    """Returns a path from the root of a workspace without what means nothing.

    `InvalidArgumentError` for the root and for `..`.
    """
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if not parts:
        raise InvalidArgumentError("the root is the whole workspace: remove that with 'rm'")
    if b".." in parts:
        raise InvalidArgumentError("a path to purge has no '..'")
    return b"/".join(parts)


def find(
    store: Store,
    files: Files,
    history: History,
    workspace: WorkspaceName,
    paths: Collection[bytes],
    progress: Callable[[str], None] = lambda _: None,
) -> set[FileKey]:
    """Returns every file that was at one of the paths, or below, at any moment of a workspace.

    O(journals that the workspace's positions go through). `NotFoundError` for a path that never was
    there, or for no such workspace.
    """
    if workspace not in files.logs:
        raise NotFoundError(f"no workspace '{workspace}'")
    found: set[FileKey] = set()
    missing = set(paths)
    for layer, stop in _view(files, workspace).items():
        progress(layout.journal(layer))
        for path, number in _met(store, history, layer, stop, paths):
            missing.discard(path)
            found.add(files.key(layer, number))
    for path in sorted(missing):
        raise NotFoundError(f"'{workspace}' never had {path.decode(errors='backslashreplace')!r}")
    return found


def seen_layers(files: Files, workspace: WorkspaceName) -> list[LayerId]:
    """Returns every layer that a workspace can have seen something of."""
    return list(_view(files, workspace))


def _view(files: Files, workspace: WorkspaceName) -> dict[LayerId, int | None]:
    """Returns the layers that a workspace can have seen, up to where; None: to the end."""
    stops: dict[LayerId, int | None] = {}
    waiting: list[tuple[LayerId, int | None]] = []
    for operation in files.logs[workspace]:
        match operation:
            case Continue():
                waiting.append((operation.layer, None))
            case Begin() | MakeBranch() | TakeSnapshot():
                waiting.append(operation.position)
            case MoveBranch():
                waiting += [operation.before, operation.after]
            case RestorePath():
                waiting.append(operation.before)
            case _:
                pass
    while waiting:
        layer, stop = waiting.pop()
        header = files.headers.get(layer)
        known = stops.get(layer, -1)
        if header is None or known is None or (stop is not None and stop <= known):
            continue
        stops[layer] = stop
        if header.parent is not None:
            waiting.append(header.parent)
    return stops


def _met(
    store: Store, history: History, layer: LayerId, stop: int | None, paths: Collection[bytes]
) -> Iterator[tuple[bytes, InodeNumber]]:
    """Yields (path that was asked for, inode) of what was there while a layer was written."""
    try:
        tree = history.start_tree(layer)
    except NotFoundError:
        # A power loss took what it began with.
        return
    for path in paths:
        yield from _at(tree, path, path)
    for _, mutation in replay(store.storage, layer, 0, stop):
        tree = apply(tree, mutation)
        for directory, name in _named(mutation):
            given = tree.path_of(directory, name)
            if given is None:
                continue
            for path in paths:
                if given == path or given.startswith(path + b"/"):
                    yield from _at(tree, path, given)
                elif path.startswith(given + b"/"):
                    yield from _at(tree, path, path)


def _at(tree: Tree, path: bytes, where: bytes) -> Iterator[tuple[bytes, InodeNumber]]:
    try:
        number = tree.resolve(where)
    except (NotFoundError, NotADirectoryInTreeError):
        return
    assert number != ROOT_INODE, "BUG: the root is no path to purge"
    yield path, number
    if tree.existing(number).is_directory:
        for _, below, _ in tree.walk(number, where):
            yield path, below


def _named(mutation: Mutation) -> list[tuple[InodeNumber, bytes]]:
    """Returns the names that a mutation gives."""
    match mutation:
        case Create() | Link():
            return [(mutation.parent, mutation.name)]
        case Rename():
            return [(mutation.parent, mutation.name), (mutation.new_parent, mutation.new_name)]
        case Graft():
            return [(directory, name) for directory, name, number in mutation.dentries if number]
        case _:
            return []
