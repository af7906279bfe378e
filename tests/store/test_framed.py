"""Frames of a file are the frames of its bytes, wherever the windows fall."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.format.record import encode_frame, frames
from pyi_fs.store import framed
from pyi_fs.store.framed import boundary_of, frames_of
from tests.support.storage import MemoryStorage

SEED = 77


def file_of(payloads: list[bytes]) -> bytes:
    data = b""
    for payload in payloads:
        data += encode_frame(payload, len(data), SEED)
    return data


@given(
    st.lists(st.binary(min_size=1, max_size=60), max_size=6),
    st.integers(9, 50),
    st.data(),
)
def test_windows_change_nothing(payloads: list[bytes], window: int, data: st.DataObject) -> None:
    """Whole files, cut files and damaged ones, with windows shorter and longer than a frame."""
    whole = bytearray(file_of(payloads))
    if whole and data.draw(st.booleans(), label="damage"):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    del whole[data.draw(st.integers(0, len(whole)), label="size") :]
    storage = MemoryStorage()
    file = storage.open_append("file", create=True)
    file.append(bytes(whole))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framed, "WINDOW_BYTES", window)
        found = list(frames_of(file, SEED, 0, len(whole)))
        boundary = boundary_of(file, len(whole))
    file.close()
    assert boundary >= max([0, *(end for end, _ in found)])
    assert found == list(frames(bytes(whole), SEED))


def test_a_start_in_the_middle_is_an_offset_of_the_file() -> None:
    data = file_of([b"one", b"two", b"three"])
    storage = MemoryStorage()
    file = storage.open_append("file", create=True)
    file.append(data)
    (first, _), *rest = frames(data, SEED)
    assert list(frames_of(file, SEED, first, len(data))) == rest
    assert list(frames_of(file, SEED, first, rest[0][0])) == rest[:1]
    file.close()


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.integers(9, 50), st.data())
def test_the_boundary_is_that_of_the_last_whole_frame(
    payloads: list[bytes], window: int, data: st.DataObject
) -> None:
    whole = file_of(payloads)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    storage = MemoryStorage()
    file = storage.open_append("file", create=True)
    file.append(cut)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framed, "WINDOW_BYTES", window)
        assert boundary_of(file, len(cut)) == max([0, *(end for end, _ in frames(cut, SEED))])
    file.close()
