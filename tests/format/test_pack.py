"""Packs in bytes: the document's example, round trips, and every byte that is not as written."""

import re
from pathlib import Path

import pytest
import zstandard
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.errors import (
    CorruptPackError,
    FormatTooNewError,
    FormatUnknownError,
    StoreError,
)
from pyi_fs.format import pack as form
from pyi_fs.format.pack import PackEntry
from pyi_fs.ids import ChunkId

DOCUMENTS = Path(__file__).parents[2] / "docs"


def document() -> str:
    """The section, wherever it is: on its own, or merged into the one document."""
    paths = [DOCUMENTS / "on-disk-format.d" / "packs.md", DOCUMENTS / "on-disk-format.md"]
    texts = [path.read_text() for path in paths if path.exists()]
    return next(text for text in texts if "## Packs" in text).partition("## Packs")[2]


def example() -> bytes:
    lines = re.findall(r"^    [0-9a-f]{6}  ((?:[0-9a-f]{2} ?)+)$", document(), re.MULTILINE)
    return bytes.fromhex("".join(lines))


def build(chunks: list[tuple[bytes, bytes, int]]) -> tuple[bytes, list[PackEntry]]:
    """A pack of `(raw, stored, method)`."""
    data = form.encode_header()
    entries = []
    for raw, stored, method in chunks:
        chunk = ChunkId(blake3(raw).digest())
        entry = PackEntry(chunk, len(data), len(raw), len(stored), method)
        entries.append(entry)
        data += form.encode_entry_header(entry) + stored
    index = form.encode_index(entries)
    return data + index + form.encode_footer(len(data), index), entries


def decode(data: bytes) -> list[PackEntry]:
    """Checks and decodes all of a pack but the chunks themselves."""
    form.check_header(data[: form.HEADER_BYTES], "p")
    footer = data[-form.FOOTER_BYTES :]
    where = form.index_range(footer, len(data), "p")
    entries = form.decode_index(data[where.start : where.stop], footer, "p")
    for entry in entries:
        form.check_entry_header(data[entry.offset : entry.end], entry, "p")
    return entries


def test_example_of_the_document_decodes_to_what_the_document_says() -> None:
    data = example()
    assert len(data) == 303
    first, second = decode(data)
    raw = b"pyi-fs keeps what you keep; " * 8
    assert (first.offset, second.offset, second.end) == (16, 66, 151)
    assert first == PackEntry(ChunkId(blake3(b"hello\n").digest()), 16, 6, 6, form.METHOD_RAW)
    assert second.chunk == blake3(raw).digest()
    assert data[first.offset + 44 : first.end] == b"hello\n"
    assert zstandard.decompress(data[second.offset + 44 : second.end]) == raw
    assert blake3(data[:151]).hexdigest() in document()


def test_example_of_the_document_is_what_is_encoded() -> None:
    data = example()
    stored = [data[entry.offset + 44 : entry.end] for entry in decode(data)]
    raw = b"pyi-fs keeps what you keep; " * 8
    assert build([(b"hello\n", stored[0], 0), (raw, stored[1], 1)])[0] == data


def test_sizes_and_limits_are_those_of_the_document() -> None:
    sizes = (form.HEADER_BYTES, form.ENTRY_HEADER_BYTES, form.INDEX_RECORD_BYTES, form.FOOTER_BYTES)
    assert sizes == (16, 44, 56, 40)
    text = document()
    for number in (
        *(form.CHUNK_RAW_BYTES_MAX, form.PACK_ENTRIES_MAX, form.PACK_BYTES_TARGET),
        *(form.CUT_BYTES_MIN, form.CUT_BYTES_AVERAGE, form.CUT_BYTES_MAX),
    ):
        assert f"{number:,}" in text
    assert form.PACK_MAGIC.decode() in text
    assert form.PACK_FOOTER_MAGIC.decode() in text


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=20))
def test_what_was_encoded_is_decoded(chunks: list[bytes]) -> None:
    data, entries = build([(raw, raw, form.METHOD_RAW) for raw in chunks])
    assert decode(data) == entries


def test_every_flipped_bit_outside_the_stored_bytes_is_noticed() -> None:
    data = example()
    stored = [index for entry in decode(data) for index in range(entry.offset + 44, entry.end)]
    for index in set(range(len(data))) - set(stored):
        for bit in range(8):
            bad = bytearray(data)
            bad[index] ^= 1 << bit
            with pytest.raises(StoreError):
                decode(bytes(bad))


def test_every_cut_of_a_pack_is_noticed() -> None:
    data = example()
    for length in range(len(data)):
        with pytest.raises(StoreError):
            decode(data[:length])


def test_later_version_is_refused_by_name_in_header_and_footer() -> None:
    data = bytearray(example())
    data[8] = 2
    with pytest.raises(FormatTooNewError, match="version 2"):
        form.check_header(bytes(data[:16]), "p")
    footer = bytearray(data[-form.FOOTER_BYTES :])
    footer[12] = 2
    with pytest.raises(FormatTooNewError, match="version 2"):
        form.index_range(bytes(footer), len(data), "p")


def test_other_file_is_no_pack() -> None:
    with pytest.raises(FormatUnknownError):
        form.index_range(b"x" * form.FOOTER_BYTES, 1000, "p")
    with pytest.raises(CorruptPackError):
        form.check_header(b"x" * form.HEADER_BYTES, "p")


@pytest.mark.parametrize(
    "change",
    [
        {"offset": 17},
        {"method": 7},
        {"raw_length": form.CHUNK_RAW_BYTES_MAX + 1},
        {"stored_length": 7},
        {"raw_length": 7},
    ],
)
def test_index_with_a_good_checksum_is_still_validated(change: dict[str, int]) -> None:
    """A checksum proves that nothing was damaged, not that the writer was right."""
    _, [entry] = build([(b"abcdef", b"abcdef", form.METHOD_RAW)])
    changed = PackEntry(**{**entry._asdict(), **change})
    index = form.encode_index([changed])
    footer = form.encode_footer(entry.end, index)
    with pytest.raises(CorruptPackError):
        form.decode_index(index, footer, "p")


@pytest.mark.parametrize("order", [(1, 0), (0, 0), (0,), (1,)])
def test_entries_that_do_not_lie_side_by_side_are_refused(order: tuple[int, ...]) -> None:
    _, entries = build([(b"abc", b"abc", form.METHOD_RAW), (b"def", b"def", form.METHOD_RAW)])
    index = form.encode_index([entries[number] for number in order])
    footer = form.encode_footer(entries[-1].end, index)
    with pytest.raises(CorruptPackError):
        form.decode_index(index, footer, "p")


def test_entry_that_begins_elsewhere_is_refused() -> None:
    _, [entry] = build([(b"abc", b"abc", form.METHOD_RAW)])
    index = form.encode_index([entry._replace(offset=entry.offset + 1)])
    with pytest.raises(CorruptPackError, match="begins at 17"):
        form.decode_index(index, form.encode_footer(entry.end, index), "p")


def test_error_names_file_and_place() -> None:
    data = bytearray(example())
    data[66] ^= 1
    entry = decode(example())[1]
    with pytest.raises(CorruptPackError) as caught:
        form.check_entry_header(bytes(data[entry.offset : entry.end]), entry, "packs/ab/x.pack")
    assert (caught.value.file, caught.value.offset) == ("packs/ab/x.pack", 66)
