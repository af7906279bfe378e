"""What is said of one tree after the other by looking at changes is what a full check says.

The trees are made by `apply` and not by `fold`, which would refuse most of what breaks one; bases
are damaged below overlays that hide the damage, or bare it later.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from immutables import Map

from pyi_fs.engine.soundness import Soundness
from pyi_fs.errors import CorruptTreeError, FormatUnknownError, RequestError
from pyi_fs.format.record import decode_mutation, encode_mutation
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.check import check
from pyi_fs.model.check_changes import Changes, is_sound_base, is_still_sound
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import Create, Graft, Link, Mutation, Reap, Remove, Rename
from pyi_fs.model.tree import Tree, over, root_only
from tests.support.hostile import possible
from tests.support.oracle import Content
from tests.support.strategies import mutations

pytestmark = pytest.mark.slow
_SETTINGS = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
A, B, FILE, EMPTY, HIDDEN = map(InodeNumber, (2, 3, 4, 5, 6))
LAST, BEYOND = map(InodeNumber, (7, 8))
DIRECTORY, REGULAR = 0o40755, 0o100644


def start() -> Tree:
    """Returns `a/b/`, `a/file` with the other name `top`, and `empty/`."""
    tree = root_only(0o40755, 0, 0, 1)
    for change in (
        Create(ROOT_INODE, b"a", A, DIRECTORY, 0, 0, 1),
        Create(A, b"b", B, DIRECTORY, 0, 0, 1),
        Create(A, b"file", FILE, REGULAR, 0, 0, 1),
        Create(ROOT_INODE, b"empty", EMPTY, DIRECTORY, 0, 0, 1),
        Link(FILE, ROOT_INODE, b"top", 1),
    ):
        tree = apply(tree, change)
    return tree


class Base:
    """A tree as a base whose parts do not fit together, as those of a forged table need not."""

    def __init__(
        self,
        tree: Tree,
        *,
        listed: tuple[InodeNumber, ...] = (),
        shown: tuple[tuple[InodeNumber, bytes, InodeNumber], ...] = (),
    ) -> None:
        self._tree, self._listed, self._shown = tree, listed, shown
        self.last_inode, self.inode_count = LAST, tree.inode_count
        self.inode, self.lookup = tree.inode, tree.lookup
        self.unlinked_numbers = tree.unlinked_numbers

    def entries(self, directory: InodeNumber) -> Iterator[tuple[bytes, InodeNumber]]:
        yield from self._tree.entries(directory)
        yield from ((name, child) for parent, name, child in self._shown if parent == directory)

    def numbers(self) -> Iterator[InodeNumber]:
        yield from (*self._tree.numbers(), *self._listed)


BASES = {
    "sound": lambda: Base(start()),
    "lists what it has not": lambda: Base(start(), listed=(BEYOND,)),
    "shows what it does not find": lambda: Base(start(), shown=((A, b"x", FILE),)),
    "shows below nothing": lambda: Base(start(), shown=((HIDDEN, b"x", FILE),)),
}

steps = st.lists(st.tuples(possible, st.booleans()), min_size=1, max_size=8)


def assert_findings_are_those_of_a_check(tree: Tree, journal: list[tuple[Mutation, bool]]) -> None:
    soundness = Soundness()
    for mutation, is_root in journal:
        try:
            decoded = decode_mutation(encode_mutation(mutation))
            tree = apply(tree, decoded)
        except (RequestError, CorruptTreeError, FormatUnknownError, OverflowError):
            continue
        soundness.changes.add(decoded)
        if is_root:
            assert soundness.findings(tree) == check(tree), mutation
    assert soundness.findings(tree) == check(tree)


@_SETTINGS
@given(st.sampled_from(sorted(BASES)), steps)
@example("lists what it has not", [])
def test_findings_after_anything_are_those_of_a_check(
    base: str, journal: list[tuple[Mutation, bool]]
) -> None:
    assert_findings_are_those_of_a_check(over(BASES[base]()), journal)


def _fields() -> st.SearchStrategy[dict[str, object]]:
    small = st.integers(0, 7).map(InodeNumber)
    names = st.sampled_from([b"a", b"b", b"file", b"top", b"x", b"", b"..", b"n" * 300])
    return st.fixed_dictionaries(
        {},
        optional={
            "nlink": st.integers(0, 4),
            "parent": small,
            "name": names,
            "mode": st.sampled_from([DIRECTORY, REGULAR, 0o120777, 0]),
            "links": st.lists(st.tuples(small, names), max_size=2).map(tuple),
            "size": st.integers(0, 9),
            "extents": st.sampled_from([b"", b"short", bytes(56), (), (b"", b"x")]),
            "xattrs": st.sampled_from([(), ((b"b", b""), (b"a", b""))]),
        },
    )


def _grafts() -> st.SearchStrategy[Mutation]:
    """Returns raw changes of one or two records and dentries: damage between two roots."""
    tree = start()
    numbers = st.sampled_from([ROOT_INODE, A, B, FILE, EMPTY, HIDDEN])

    def record(number: InodeNumber, fields: dict[str, object] | None) -> Inode | None:
        known = tree.inode(number) or tree.existing(FILE)
        return None if fields is None else with_fields(known, **fields)

    records = st.tuples(numbers, st.none() | _fields()).map(lambda it: (it[0], record(*it)))
    names = st.sampled_from([b"a", b"b", b"file", b"top", b"x", b"..", b"n" * 300])
    children = st.integers(0, 7).map(InodeNumber)
    dentries = st.tuples(numbers, names, children)
    return st.builds(
        Graft,
        st.lists(records, max_size=2).map(tuple),
        st.lists(dentries, max_size=2).map(tuple),
    )


def _usual() -> st.SearchStrategy[Mutation]:
    numbers = st.sampled_from([ROOT_INODE, A, B, EMPTY])
    names = st.sampled_from([b"a", b"b", b"file", b"top", b"empty", b"x"])
    fresh = st.sampled_from([HIDDEN, LAST, BEYOND])
    modes = st.sampled_from([DIRECTORY, REGULAR])
    return st.one_of(
        st.builds(Create, numbers, names, fresh, modes, st.just(0), st.just(0), st.just(2)),
        st.builds(Link, st.just(FILE), numbers, names, st.just(2)),
        st.builds(Remove, numbers, names, st.booleans(), st.just(2)),
        st.builds(Rename, numbers, names, numbers, names, st.sampled_from([0, 2]), st.just(2)),
        st.builds(Reap, st.lists(st.integers(2, 8).map(InodeNumber)).map(tuple)),
    )


@_SETTINGS
@given(
    st.sampled_from(sorted(BASES)),
    st.lists(st.tuples(st.one_of(_usual(), _usual(), _grafts()), st.booleans()), max_size=10),
)
@example("sound", [(Graft(((A, None),), ((ROOT_INODE, b"a", InodeNumber(0)),)), True)])
@example(
    "lists what it has not",
    [
        (Create(ROOT_INODE, b"x", BEYOND, REGULAR, 0, 0, 2), True),
        (Remove(ROOT_INODE, b"x", False, 2), True),
        (Reap((BEYOND,)), True),
    ],
)
@example(
    "shows below nothing",
    [
        (Create(ROOT_INODE, b"x", HIDDEN, DIRECTORY, 0, 0, 2), False),
        (Create(HIDDEN, b"x", LAST, REGULAR, 0, 0, 2), True),
        (Remove(HIDDEN, b"x", False, 2), True),
    ],
)
def test_damage_that_comes_and_goes_is_found_where_it_is(
    base: str, journal: list[tuple[Mutation, bool]]
) -> None:
    assert_findings_are_those_of_a_check(over(BASES[base]()), journal)


@_SETTINGS
@given(st.data())
def test_what_a_writer_does_is_seen_to_be_sound(data: st.DataObject) -> None:
    """No doubt where there is none: that would cost a full check of each snapshot."""
    content, tree = Content(), start()
    before, changes = tree, Changes()
    for step in range(data.draw(st.integers(1, 25))):
        if step % 7 == 3:
            tree = over(tree)
            before, changes = tree, Changes()
            assert is_sound_base(tree.base)
        mutation = data.draw(mutations(tree, content, step))
        try:
            tree = apply(tree, mutation)
        except RequestError:
            continue
        changes.add(mutation)
        if data.draw(st.booleans()):
            assert is_still_sound(before, tree, changes), mutation
            before, changes = tree, Changes()
    assert is_still_sound(before, tree, changes)


def test_names_that_leave_the_overlay_bare_what_is_below() -> None:
    """A base shows a name twice; while the overlay has it nobody sees that."""
    base = Base(start(), shown=((A, b"x", FILE),))
    tree = over(base)
    hidden = Tree(
        base, tree.inodes, Map({A: Map({b"x": InodeNumber(0)})}), tree.unlinked, tree.last_inode
    )
    assert check(hidden) == []
    assert_findings_are_those_of_a_check(
        hidden,
        [
            (Create(A, b"x", HIDDEN, REGULAR, 0, 0, 2), True),
            (Remove(A, b"x", False, 2), True),
        ],
    )
