"""A mutation is a value: it survives its encoding, and applying it leaves its argument alone."""

from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs.errors import RequestError
from pyi_fs.format.record import decode_mutation
from pyi_fs.ids import InodeNumber
from pyi_fs.model import extent
from pyi_fs.model.edit import apply
from pyi_fs.model.fold import fold
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import Graft, Mutation
from pyi_fs.model.tree import Tree, over, root_only
from tests.support.oracle import Content, picture_of
from tests.support.strategies import arbitrary_names, mutations

pytestmark = pytest.mark.slow
_SETTINGS = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Mutation] = msgspec.msgpack.Decoder(Mutation)
_INODES: msgspec.msgpack.Decoder[Inode] = msgspec.msgpack.Decoder(Inode)


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Iterator[None]:
    """Makes extent lists of many blocks common."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extent, "BLOCK_ENTRIES_MAX", 3)
        yield


def start() -> Tree:
    """Returns the tree that every journal here begins with."""
    return root_only(0o40755, 0, 0, 1)


def apply_or_keep(tree: Tree, change: Mutation) -> Tree:
    """Returns the next tree, or the same one if the change is refused."""
    try:
        return apply(tree, change)
    except RequestError:
        return tree


def journal_of(data: st.DataObject, content: Content) -> list[Mutation]:
    """Returns a drawn sequence of mutations, each possible in the tree before it: a journal."""
    tree, journal = start(), list[Mutation]()
    for step in range(data.draw(st.integers(1, 30), label="steps")):
        change = data.draw(mutations(tree, content, 1000 + step), label="mutation")
        after = apply_or_keep(tree, change)
        if after is not tree:
            journal.append(change)
        tree = after
    return journal


@_SETTINGS
@given(st.data())
def test_every_mutation_survives_its_encoding(data: st.DataObject) -> None:
    """Decoding gives an equal mutation of the same kind, and the same bytes again."""
    for change in journal_of(data, Content()):
        encoded = _ENCODER.encode(change)
        decoded = _DECODER.decode(encoded)
        assert decoded == change
        assert type(decoded) is type(change)
        assert _ENCODER.encode(decoded) == encoded


@_SETTINGS
@given(st.data())
def test_every_record_survives_its_encoding(data: st.DataObject) -> None:
    """All records of a tree, extents in one block and in many, and the graft that carries them."""
    content = Content()
    tree = start()
    for change in journal_of(data, content):
        tree = apply_or_keep(tree, change)
    records = tuple((number, tree.existing(number)) for number in tree.numbers())
    for _, inode in records:
        assert _INODES.decode(_ENCODER.encode(inode)) == inode
    name = data.draw(arbitrary_names)
    absent = (InodeNumber(tree.last_inode + 1), None)
    graft = Graft((*records, absent), ((InodeNumber(1), name, InodeNumber(0)),))
    assert _DECODER.decode(_ENCODER.encode(graft)) == graft


@_SETTINGS
@given(st.data())
def test_folding_the_decoded_journal_gives_the_same_tree(data: st.DataObject) -> None:
    """Trees are the fold of what was written, wherever the tree was frozen on the way."""
    content = Content()
    journal = journal_of(data, content)
    live, replayed = start(), start()
    for change in journal:
        live = apply_or_keep(live, change)
        if data.draw(st.integers(0, 9), label="freeze") == 0:
            live = over(live)
        replayed = fold(replayed, decode_mutation(_ENCODER.encode(change)))
    assert picture_of(live, content) == picture_of(replayed, content)
    assert live.last_inode == replayed.last_inode


@_SETTINGS
@given(st.data())
def test_apply_never_alters_its_argument(data: st.DataObject) -> None:
    """Every tree on the way still shows at the end what it showed when it was made."""
    content = Content()
    tree = start()
    seen: list[tuple[Tree, dict[object, object]]] = [(tree, picture_of(tree, content))]
    for change in journal_of(data, content):
        tree = apply_or_keep(tree, change)
        seen.append((tree, picture_of(tree, content)))
    for earlier, shown in seen:
        assert picture_of(earlier, content) == shown


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: b"\xc1" + raw[1:]])
def test_damaged_mutation_is_not_decoded(damage: Callable[[bytes], bytes]) -> None:
    """What is no mutation raises, for the journal to report; it does not become another one."""
    raw = _ENCODER.encode(Graft((), ((InodeNumber(1), b"name", InodeNumber(2)),)))
    with pytest.raises(msgspec.DecodeError):
        _DECODER.decode(damage(raw))
