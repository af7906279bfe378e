"""The model and the oracle do the same, step for step, through any sequence of mutations.

Link and block limits are made small here, so that sequences of a few dozen steps meet them.
"""

import stat
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.ids import InodeNumber
from pyi_fs.model import extent
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import Create, Graft, Reap, Remove, Rename
from pyi_fs.model.tree import Tree, on_base, over
from tests.support.model_pair import Pair
from tests.support.strategies import mutations

pytestmark = pytest.mark.slow
# Rare meetings (a setgid directory within another, say) take hundreds of sequences: 17 ms each.
_SETTINGS = settings(
    max_examples=max(400, settings.default.max_examples if settings.default else 0),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(autouse=True, scope="module")
def small_limits() -> Iterator[None]:
    """Makes EMLINK and lists of many blocks common."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "LINKS_MAX", 5)
        patch.setattr(extent, "BLOCK_ENTRIES_MAX", 3)
        yield


def graft_between(old: Tree, new: Tree) -> Graft:
    """Returns the mutation that makes `new` out of `old`: all records and dentries that differ."""

    def dentries(tree: Tree) -> dict[tuple[InodeNumber, bytes], InodeNumber]:
        return {(d, name): child for d in tree.numbers() for name, child in tree.entries(d)}

    numbers = sorted({*old.numbers(), *new.numbers()})
    before, after = dentries(old), dentries(new)
    return Graft(
        tuple((n, new.inode(n)) for n in numbers if old.inode(n) != new.inode(n)),
        tuple(
            (*key, after.get(key, InodeNumber(0)))
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ),
    )


@_SETTINGS
@given(st.data())
def test_model_and_oracle_agree_after_every_step(data: st.DataObject) -> None:
    """Same errno, paths, records and contents; freezing and changing the base change nothing."""
    pair = Pair()
    kept, kept_oracle = pair.tree, pair.oracle.copy()
    for step in range(data.draw(st.integers(1, 40), label="steps")):
        what = data.draw(st.integers(0, 29), label="what")
        if what == 0:
            pair.tree = over(pair.tree)
        elif what == 1:
            # An equal base that is another object, as a checkpoint's table is for a frozen tree.
            base = pair.tree.base
            pair.tree = on_base(pair.tree, over(base) if isinstance(base, Tree) else base)
        elif what == 2:
            kept, kept_oracle = pair.tree, pair.oracle.copy()
        elif what == 3:
            last = pair.tree.last_inode
            pair.tree = apply(pair.tree, graft_between(pair.tree, kept))
            assert pair.tree.last_inode >= last
            pair.oracle = kept_oracle.copy()
        else:
            pair.step(data.draw(mutations(pair.tree, pair.content, 1000 + step), label="mutation"))
        pair.compare()


def test_a_rename_of_a_name_that_is_too_long_into_a_directory_that_is_gone() -> None:
    """Linux says the first of it (`model/test_edit.py`)."""
    pair = Pair()
    pair.step(Create(InodeNumber(1), b"a", InodeNumber(2), stat.S_IFDIR | 0o755, 0, 0, 1000))
    pair.step(Remove(InodeNumber(1), b"a", True, 1001))
    for name in (b"n" * 256, b"missing"):
        pair.step(Rename(InodeNumber(1), name, InodeNumber(2), b"b", 0, 1002))


def test_reaping_everything_unlinked_leaves_the_linked_tree() -> None:
    """What `Reap` takes away is nothing that a path shows."""
    pair = Pair()
    tree = pair.tree
    assert isinstance(apply(tree, Reap((InodeNumber(1), InodeNumber(9)))), Tree)
    pair.step(Reap((InodeNumber(1), InodeNumber(9))))
    pair.step(Rename(InodeNumber(1), b"a", InodeNumber(1), b"b", 0, 5))
    assert sorted(pair.tree.numbers()) == [1]
