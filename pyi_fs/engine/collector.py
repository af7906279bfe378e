"""Giving back layers that nobody needs: first a plan that can be printed, then its execution.

Chunks and packs are not collected here.

Needed is what the log of some workspace can come back to (`engine/roots.py`), and what those layers
name (`engine/references.py`). Anything else goes, unless it may be about to be needed. The races
with live processes:

- *A mount makes a layer, then notes it in its log.* It holds the lock of its branch meanwhile, and
  the header names the branch. So: list the layers, then ask for the locks, then read the logs. A
  layer of a free lock that no log names now will never be named.
- *A workspace is being made or imported*: layer first, log last, and nobody holds a lock. A layer
  whose workspace has no log, or was made before the workspace of that name now, is left alone until
  nothing in it changed for `limits.UNDO_WINDOW_SECONDS`. For layers that are known to have been in
  a log (the caller has just removed it) there is nothing to wait for: `known`.
- *A fork* reads its parent's log, pins the layer, then begins its own log; the parent may be
  removed in between. A layer whose pins name a workspace without a log is left alone for
  `PIN_GUARD_SECONDS`. Execution goes from children to parents, and holds the `flock` of the pins
  while it makes sure that they are as planned and renames the directory away. So a pin comes
  before, and the layer and all it needs stay; or it comes after, finds no directory, and the fork
  fails as if the parent had been removed a moment earlier, which it was.
- *Two collectors*: removal of what is not there is no error.
- *A damaged log or layer* may hide what it names: then everything of its workspace is kept
  (`engine/held.py`), and that is said.
- *A snapshot is deleted* while somebody is about to restore it, to make a branch from it, or to
  share its extents: see the grace in `engine/roots.py`.
- *A crash in the middle* leaves `layers/xx/ID.removed`, which the next plan finds.

What is left: a process stopped for longer than the guard between making a layer and the first
record of a *new* workspace finds its layer gone, and who only reads a removed workspace (a
read-only view) finds its files gone. Nothing acknowledged is lost by either.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from pyi_fs.engine.founding import remove_workspace
from pyi_fs.engine.held import frozen, named_by_damaged, readable
from pyi_fs.engine.references import LayerGraph, all_layers, layer_bytes, memory_bytes
from pyi_fs.engine.roots import (
    NOTHING,
    Without,
    lineages,
    logged_layers,
    positions_of,
    roots_of,
)
from pyi_fs.engine.store import Store
from pyi_fs.engine.unlogged import Guard, header_of, read_pins
from pyi_fs.errors import CorruptError
from pyi_fs.ids import LayerId, WorkspaceName, layer_name, segment_id
from pyi_fs.store import layout
from pyi_fs.store.storage import LockFile

_REMOVED = ".removed"


class Step(NamedTuple):
    """One layer to remove, and what its `pins` file held when that was decided."""

    layer: LayerId
    owner: str
    size_bytes: int
    pins: str
    memory_bytes: int = 0

    def __str__(self) -> str:
        """Returns one line for people."""
        memory = f", {self.memory_bytes} bytes of memory" if self.memory_bytes else ""
        layer = layer_name(self.layer)
        return f"remove layer {layer} of {self.owner}: {self.size_bytes} bytes{memory}"


@dataclass(frozen=True)
class Plan:
    """What to remove, children before parents, and what is left alone and why.

    Layers of one group name each other. `held`: workspaces that are left as they are, and why.
    """

    groups: tuple[tuple[Step, ...], ...]
    leftovers: tuple[str, ...]
    waiting: tuple[tuple[LayerId, str], ...]
    held: tuple[str, ...] = ()
    known: frozenset[LayerId] = field(default=frozenset(), repr=False)

    @property
    def steps(self) -> list[Step]:
        """Returns all steps, in the order of execution."""
        return [step for group in self.groups for step in group]

    @property
    def frees_bytes(self) -> int:
        """Returns the disk that execution gives back, if nothing comes between."""
        return sum(step.size_bytes for step in self.steps)

    def __str__(self) -> str:
        """Returns one line for each step and each layer left alone."""
        lines = [str(step) for step in self.steps]
        lines += [f"remove {path}: left by an interrupted collection" for path in self.leftovers]
        lines += [f"leave layer {layer_name(layer)}: {reason}" for layer, reason in self.waiting]
        lines += [f"leave {reason}" for reason in self.held]
        return "\n".join(lines)


class Collected(NamedTuple):
    """What an execution did.

    `skipped`: layers that somebody came to need after the plan was made.
    """

    layers: int
    freed_bytes: int
    skipped: tuple[LayerId, ...]


def plan(
    store: Store,
    *,
    known: Iterable[LayerId] = (),
    clock_ns: Callable[[], int] = time.time_ns,
    without: Without = NOTHING,
    grace: bool = True,
) -> Plan:
    """Returns what can be removed now.

    O(store) in journals and bases if there is anything, else O(layers). Takes branch locks for an
    instant.

    `known`: layers that are known to have been in the log of a workspace that is gone. `without`,
    `grace`: what could be removed if these were given up, as `roots.positions_of`.
    """
    # What was noted in a log once is not about to be.
    known = frozenset(known) | logged_layers(store)
    listed = all_layers(store.storage)
    graph = LayerGraph(store)
    held: dict[WorkspaceName, str] = {}

    def needed() -> set[LayerId]:
        now_ns = clock_ns()
        roots = readable(roots_of(store, now_ns=now_ns, without=without, grace=grace), graph)
        held.update(roots.held)
        return graph.reach(roots.all_positions()) | frozen(store, roots, graph, listed, now_ns)

    # Lineages first, which is cheap and mostly the whole answer.
    roots = roots_of(store, now_ns=clock_ns(), without=without, grace=grace)
    held.update(roots.held)
    candidates = set(listed) - lineages(store, roots.all_positions())
    waiting: dict[LayerId, str] = {}
    if candidates:
        candidates -= needed()
        guard = Guard(store, known, clock_ns())
        waiting = {
            layer: reason for layer in candidates if (reason := guard.reason(layer)) is not None
        }
        # Only now: a layer whose lock was free a moment ago is in a log by now, or never will be.
        candidates -= needed()
        candidates -= graph.reach(waiting, partly=True)
        candidates -= waiting.keys()
    steps = {layer: _step(store, layer) for layer in candidates}
    groups = tuple(
        tuple(steps[layer] for layer in group) for group in _children_first(graph, candidates)
    )
    reasons = tuple(f"workspace '{name}': {reason}" for name, reason in sorted(held.items()))
    return Plan(groups, leftovers(store), tuple(sorted(waiting.items())), reasons, known)


def leftovers(store: Store) -> tuple[str, ...]:
    """Returns the directories that interrupted collections left, for `Plan.leftovers`."""
    return tuple(
        f"{layout.LAYERS}/{prefix}/{name}"
        for prefix in store.storage.list(layout.LAYERS)
        for name in store.storage.list(f"{layout.LAYERS}/{prefix}")
        if name.endswith(_REMOVED)
    )


def execute(
    store: Store, planned: Plan, *, clock_ns: Callable[[], int] = time.time_ns
) -> Collected:
    """Removes what a plan names and what is still not needed; returns what was done.

    Not durable: after power loss it is planned again.
    """
    for leftover in planned.leftovers:
        _clear(store, leftover)
    if not planned.groups:
        return Collected(0, 0, ())
    again = plan(store, known=planned.known, clock_ns=clock_ns)
    graph = LayerGraph(store)
    allowed = {step.layer for step in again.steps}
    kept: set[LayerId] = set()
    layers = freed_bytes = 0
    for group in planned.groups:
        # Read before they go: what a layer that turns out to be wanted needs has to stay, too.
        needs = graph.reach([step.layer for step in group], partly=True)
        is_free = all(step.layer in allowed and step.layer not in kept for step in group)
        if is_free and _remove(store, group):
            layers += len(group)
            freed_bytes += sum(step.size_bytes for step in group)
        else:
            kept |= needs | {step.layer for step in group}
    skipped = tuple(step.layer for step in planned.steps if step.layer in kept)
    return Collected(layers, freed_bytes, skipped)


def remove_and_collect(store: Store, name: str) -> Collected:
    """Removes a workspace and gives back at once what only it needed.

    `NotFoundError`; `BusyError` if a branch of it is in use.
    """
    graph = LayerGraph(store)
    try:
        roots = {position.layer for position in positions_of(store, WorkspaceName(name))}
    except CorruptError:
        roots = named_by_damaged(store, WorkspaceName(name), all_layers(store.storage))
    known = graph.reach(roots, partly=True)
    remove_workspace(store, name)
    return execute(store, plan(store, known=known))


def _step(store: Store, layer: LayerId) -> Step:
    header = header_of(store, layer)
    owner = f"{header.workspace}/{header.branch}" if header is not None else "nobody"
    size_bytes = layer_bytes(store.storage, layer)
    in_memory = memory_bytes(store.storage, layer)
    return Step(layer, owner, size_bytes, read_pins(store.storage, layer), in_memory)


def _children_first(graph: LayerGraph, layers: set[LayerId]) -> list[list[LayerId]]:
    """Returns the layers so that each comes before those it names.

    Those that name each other (two branches restored paths of each other) are one group.
    """
    names: dict[LayerId, set[LayerId]] = {}
    for layer in sorted(layers):
        found = graph.readable(layer)
        names[layer] = set(found.layers & layers) if found is not None else set()
    group = {layer: layer for layer in layers}
    order: list[LayerId] | None = None
    while order is None:
        # What is named is the predecessor, so the order comes out parents first.
        needs: dict[LayerId, set[LayerId]] = {group[layer]: set() for layer in layers}
        for layer, named in names.items():
            needs[group[layer]] |= {group[other] for other in named} - {group[layer]}
        try:
            order = list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            cycle = set(error.args[1])
            group = {one: min(cycle) if head in cycle else head for one, head in group.items()}
    members: dict[LayerId, list[LayerId]] = {}
    for layer in sorted(layers):
        members.setdefault(group[layer], []).append(layer)
    return [members[head] for head in reversed(order)]


def _remove(store: Store, group: tuple[Step, ...]) -> bool:
    """Removes the layers of a group unless one was pinned since the plan.

    Returns whether it did.
    """
    locks: list[LockFile] = []
    try:
        for step in group:
            try:
                lock = store.storage.lock(layout.pins(step.layer))
            except FileNotFoundError:
                # Another collector was here.
                continue
            assert lock is not None, "BUG: waited and did not get the lock"
            locks.append(lock)
            if lock.read_text() != step.pins:
                return False
        for step in group:
            directory = layout.layer_directory(step.layer)
            for name in store.storage.list(directory):
                index = layout.segment_of(name)
                if index is not None:
                    store.layers.forget_segment(segment_id(step.layer, index))
            try:
                store.storage.rename(directory, directory + _REMOVED)
            except FileNotFoundError:
                continue
            _clear(store, directory + _REMOVED)
    finally:
        for lock in locks:
            lock.release()
    return True


def _clear(store: Store, directory: str) -> None:
    for name in store.storage.list(directory):
        store.storage.remove(f"{directory}/{name}")
    store.storage.remove_directory(directory)
