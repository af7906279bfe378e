"""Journals and logs with right checksums and wrong content: an error of ours, never anything else.

Each record is appended to a journal or a log of a sound store as a writer would have, then
everything is opened, folded, walked, read, sealed, collected, mended and checked, in bounded time
and memory. `tests/model/test_fold.py` is the same without a store, for many more cases.
"""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyi_fs.engine.history import History
from pyi_fs.engine.store import Store, boot_id
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import CorruptRecordError
from pyi_fs.format.record import (
    FORMAT_VERSION,
    LayerHeader,
    encode_frame,
    encode_header,
    encode_mutation,
    encode_operation,
    frames,
)
from pyi_fs.ids import InodeNumber, LayerId, Position, WorkspaceName
from pyi_fs.model.mutation import Create, Graft, Mutation
from pyi_fs.model.operation import DeleteSnapshot, Operation, TakeSnapshot
from pyi_fs.store.journal import journal_seed
from tests.support.engine_rig import noise, opened, put, written
from tests.support.hostile import mutations, operations, possible
from tests.support.judging import SETTINGS, bounded, fresh_copy, judged

pytestmark = [pytest.mark.slow]
LOG_SEED = 0x6C6F67


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "store"
    with opened(path) as store, written(store, "w") as (workspace, branch):
        put(branch, b"a/b/file", noise(5000))
        put(branch, b"top", noise(100))
        workspace.snapshot(branch, name="s")
        workspace.make_branch("side", branch)
        put(branch, b"top", noise(200))
        workspace.snapshot(branch)
    return path


def journals(store: Path) -> list[Path]:
    return sorted(store.glob("layers/*/*/journal"), key=lambda file: file.stat().st_size)


def layer_of(journal: Path) -> LayerId:
    return LayerId(int(journal.parent.name, 16))


def append(journal: Path, payloads: list[bytes], seed: int) -> None:
    data = journal.read_bytes()
    for payload in payloads:
        data += encode_frame(payload, len(data), seed)
    journal.write_bytes(data)


def encoded(items: list[Mutation] | list[Operation]) -> list[bytes]:
    found = []
    for item in items:
        try:
            found.append(encode_mutation(item))  # type: ignore[arg-type]
        except OverflowError:
            continue
    return found


@given(hostile=st.lists(mutations, min_size=1, max_size=3))
@example(hostile=[Graft((), ((InodeNumber(1), b"x", InodeNumber(1)),))])
@SETTINGS
def test_a_malicious_record_is_an_error_of_ours(
    template: Path, tmp_path: Path, hostile: list[Mutation]
) -> None:
    store = fresh_copy(template, tmp_path / "copy")
    journal = journals(store)[-1]
    append(journal, encoded(hostile), journal_seed(layer_of(journal)))
    judged(store)


@given(hostile=st.lists(possible, min_size=1, max_size=4))
@SETTINGS
def test_a_circle_in_a_journal_is_an_error_of_ours(
    template: Path, tmp_path: Path, hostile: list[Mutation]
) -> None:
    """Only what moves names about: used numbers, directories below themselves."""
    store = fresh_copy(template, tmp_path / "copy")
    journal = journals(store)[-1]
    append(journal, encoded(hostile), journal_seed(layer_of(journal)))
    judged(store)


def test_the_error_names_the_journal(template: Path, tmp_path: Path) -> None:
    store = fresh_copy(template, tmp_path / "copy")
    journal = journals(store)[-1]
    used = Create(InodeNumber(1), b"new", InodeNumber(1), 0o40755, 0, 0, 1)
    append(journal, [encode_mutation(used)], journal_seed(layer_of(journal)))
    with opened(store) as sound:
        workspace = Workspace(sound, WorkspaceName("w"))
        try:
            with pytest.raises(CorruptRecordError, match=journal.parent.name) as raised:
                workspace.open_branch("main")
        finally:
            workspace.close()
    assert raised.value.offset == journal.stat().st_size
    assert "used twice" in str(raised.value)


@given(st.data())
@SETTINGS
def test_a_malicious_operation_is_an_error_of_ours(
    template: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """Positions in foreign layers and in none, circles of snapshots, names of any kind."""
    store = fresh_copy(template, tmp_path / "copy")
    layers = [layer_of(journal) for journal in journals(store)]
    ends = [journal.stat().st_size for journal in journals(store)]
    hostile = data.draw(st.lists(operations(layers, ends), min_size=1, max_size=4))
    append(store / "workspaces/w/log", encoded(hostile), LOG_SEED)
    judged(store)


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=2), st.booleans())
@example([b"\x91" * 5000], True)
@example([b"\x9a\x01" + b"\x91" * 5000], False)
@example([b"\xdd\xff\xff\xff\xff"], False)
@SETTINGS
def test_a_payload_of_any_bytes_is_an_error_of_ours(
    template: Path, tmp_path: Path, payloads: list[bytes], of_log: bool
) -> None:
    store = fresh_copy(template, tmp_path / "copy")
    journal = journals(store)[-1]
    if of_log:
        append(store / "workspaces/w/log", payloads, LOG_SEED)
    else:
        append(journal, payloads, journal_seed(layer_of(journal)))
    judged(store)


@given(st.data())
@SETTINGS
def test_a_malicious_header_is_an_error_of_ours(
    template: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """Layers that begin with each other, with themselves, with nothing; roots that are none."""
    store = fresh_copy(template, tmp_path / "copy")
    layers = [layer_of(journal) for journal in journals(store)]
    number = st.sampled_from([0, 40, 100, -1, 2**40, 2**63 - 1, 2**64 - 1])
    layer = st.sampled_from([*layers, *layers, *layers, 0, -1, 2**64 - 1]).map(LayerId)
    for journal in journals(store):
        header = LayerHeader(
            data.draw(st.sampled_from([FORMAT_VERSION, FORMAT_VERSION, 0, 2, -1])),
            data.draw(st.sampled_from([layer_of(journal)] * 4 + [LayerId(7)])),
            data.draw(st.one_of(st.none(), st.builds(Position, layer, number))),
            data.draw(st.one_of(st.none(), st.tuples(number, number, number, number))),
            1,
            data.draw(st.sampled_from(["", "another boot"])),
            "w",
            "main",
        )
        try:
            payload = encode_header(header)
        except OverflowError:
            continue
        old = journal.read_bytes()
        seed = journal_seed(layer_of(journal))
        journal.write_bytes(b"")
        append(journal, [payload, *[frame for _, frame in list(frames(old, seed))[1:]]], seed)
    judged(store)


@pytest.mark.parametrize("boot", ["another boot", boot_id()], ids=["another", "this"])
def test_layers_that_begin_with_each_other_are_an_error_of_ours(
    template: Path, tmp_path: Path, boot: str
) -> None:
    """Whichever is asked for its tree, its lineage or its durability."""
    store = fresh_copy(template, tmp_path / "copy")
    layers = [layer_of(journal) for journal in journals(store)]
    for journal in journals(store):
        (parent,) = (Position(other, 60) for other in layers if other != layer_of(journal))
        header = LayerHeader(1, layer_of(journal), parent, None, 1, boot, "w", "main")
        journal.write_bytes(b"")
        journal.with_name("synced").unlink()
        append(journal, [encode_header(header)], journal_seed(layer_of(journal)))
    if boot == boot_id():
        with bounded(), opened(store) as found:
            _all_refuse(found, layers)
    judged(store)


def _all_refuse(store: Store, layers: list[LayerId]) -> None:
    history = History(store.layers)
    for layer in layers:
        for ask in (history.tree, history.lineage, store.layers.sync_lineage):
            with pytest.raises(CorruptRecordError, match="circle"):
                ask(Position(layer, 60))


def test_snapshots_that_come_before_each_other_are_an_error_of_ours(
    template: Path, tmp_path: Path
) -> None:
    """A snapshot that is its own parent, deleted: the one before it was looked for without end."""
    store = fresh_copy(template, tmp_path / "copy")
    (layer, *_) = (layer_of(journal) for journal in journals(store))
    own = TakeSnapshot(1, "main", "9-abcdef", Position(layer, 60), 0, 0, 0, "9-abcdef")  # type: ignore[arg-type]
    log = store / "workspaces/w/log"
    append(log, [encode_operation(own), encode_operation(DeleteSnapshot(1, own.id, ""))], LOG_SEED)
    with bounded(), opened(store) as found, pytest.raises(CorruptRecordError, match="never taken"):
        Workspace(found, WorkspaceName("w"))


def test_a_journal_that_is_a_terabyte_of_nothing_takes_no_memory(
    template: Path, tmp_path: Path
) -> None:
    """A hole at its end, and a frame that says it is a gigabyte long."""
    store = fresh_copy(template, tmp_path / "copy")
    for file in (journals(store)[-1], store / "workspaces/w/log"):
        with file.open("r+b") as opened_file:
            opened_file.seek(0, 2)
            opened_file.write((1 << 30).to_bytes(4, "little") + b"sum.")
            opened_file.truncate(1 << 40)
    with bounded(), opened(store) as found:
        workspace = Workspace(found, WorkspaceName("w"))
        try:
            assert workspace.open_branch("main").tree.resolve(b"a/b/file")
        finally:
            workspace.close()
