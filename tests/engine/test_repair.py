"""What the store has twice is mended; what it has once is left for a check to name."""

from pathlib import Path

import pytest

from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.repair import rebuild_index, repair
from pyi_fs.store import layer_writer, layout
from tests.engine.test_fsck import everything
from tests.support.damage import build
from tests.support.engine_rig import noise, opened

pytestmark = pytest.mark.slow


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 0x10
    file.write_bytes(data)


def mended(store: Path) -> list[str]:
    """Repairs a store; returns the files that were mended."""
    return [step.file for step in repair(store)]


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, object]:
    # Short journals have no files of runs beside them.
    monkeypatch.setattr(layer_writer, "RUNS_JOURNAL_BYTES_MIN", 0)
    build(tmp_path / "store")
    return tmp_path / "store", everything(tmp_path / "store")


def test_a_sound_store_needs_nothing(sound: tuple[Path, object]) -> None:
    store, content = sound
    assert mended(store) == []
    assert everything(store) == content


def test_the_format_line_is_written_again(sound: tuple[Path, object]) -> None:
    store, content = sound
    flip(store / layout.FORMAT, 3)
    assert mended(store) == [layout.FORMAT]
    assert everything(store) == content
    (store / layout.FORMAT).write_text("pyi-fs store 9\n")
    with pytest.raises(Exception, match="version 9"):
        mended(store)


def test_damaged_runs_are_written_from_the_journal(sound: tuple[Path, object]) -> None:
    store, content = sound
    files = sorted(store.glob("layers/*/*/runs-*"))
    assert files
    for file in files:
        flip(file, 9)
    assert sorted(mended(store)) == [str(file.relative_to(store)) for file in files]
    assert check_directory(store, verify_data=True) == []
    assert everything(store) == content


def test_a_damaged_base_is_folded_anew(sound: tuple[Path, object]) -> None:
    store, content = sound
    (base,) = store.glob("layers/*/*/base")
    before = base.read_bytes()
    for place in (0, 40, len(before) // 2, len(before) - 1):
        flip(base, place)
        assert mended(store) == [str(base.relative_to(store))]
        assert everything(store) == content
    assert check_directory(store, verify_data=True) == []


def test_a_base_without_parents_is_left_and_named(sound: tuple[Path, object]) -> None:
    store, _ = sound
    (base,) = store.glob("layers/*/*/base")
    flip(base, base.stat().st_size // 2)
    for journal in store.glob("layers/*/*/journal"):
        if journal.parent != base.parent:
            flip(journal, 30)
    assert mended(store) == []
    assert check_directory(store, verify_data=False)


def test_a_pack_with_a_damaged_end_is_read_from_its_beginning(
    sound: tuple[Path, object],
) -> None:
    store, content = sound
    (pack,) = store.glob("packs/*/*.pack")
    flip(pack, pack.stat().st_size - 20)
    assert mended(store) == [str(pack.relative_to(store))]
    assert check_directory(store, verify_data=True) == []
    assert everything(store) == content


def test_a_chunk_that_another_pack_has_is_taken_from_there(tmp_path: Path) -> None:
    data = noise(3_000)
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        chunk, alone = store.chunks.put(data), store.chunks.put(noise(5_000))
        other.chunks.put(data)
        other.chunks.put(noise(7_000))
        store.chunks.flush()
        other.chunks.flush()
        location = store.index.locate(chunk)
        assert location is not None
    path = tmp_path / "store" / f"packs/{location.pack.hex()[:2]}/{location.pack.hex()}.pack"
    flip(path, location.entry.offset + 100)
    assert mended(tmp_path / "store") == [str(path.relative_to(tmp_path / "store"))]
    with opened(tmp_path / "store") as store:
        assert store.chunks.get(chunk) == data
        assert store.chunks.get(alone) == noise(5_000)
    assert check_directory(tmp_path / "store", verify_data=True) == []


def test_a_chunk_that_is_nowhere_else_is_named_and_the_others_are_saved(
    sound: tuple[Path, object],
) -> None:
    store, _ = sound
    (pack,) = store.glob("packs/*/*.pack")
    flip(pack, 100)
    assert mended(store) == []
    assert pack.with_suffix(".damaged").exists()
    findings = check_directory(store, verify_data=True)
    assert any(b"sealed" in path for one in findings for path in one.paths)


def test_an_index_is_rebuilt_whatever_is_wrong_with_it(sound: tuple[Path, object]) -> None:
    store, content = sound
    index = store / layout.INDEX
    assert rebuild_index(store) == 1
    for damage in (b"", b"noise" * 2000, index.read_bytes()[:4096] + bytes(30_000)):
        index.write_bytes(damage)
        for suffix in ("-wal", "-shm"):
            (store / (layout.INDEX + suffix)).unlink(missing_ok=True)
        assert rebuild_index(store) == 1
        assert check_directory(store, verify_data=True) == []
    assert everything(store) == content
