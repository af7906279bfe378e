"""What can still be read of the operations log of a workspace, damaged or not.

For who must not lose what a damaged log may name (`engine/roots.py`): every record that is valid at
its place counts, also behind the damage. In what order it came about is not asked.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pyi_fs.errors import FormatTooNewError, FormatUnknownError, StoreError
from pyi_fs.format.record import (
    FRAME_HEADER_BYTES,
    decode_operation,
    frames,
    tail_after_power_loss,
)
from pyi_fs.ids import WorkspaceName
from pyi_fs.model.operation import Operation
from pyi_fs.store import layout
from pyi_fs.store.log_note import LOG_SEED
from pyi_fs.store.storage import Storage


class Salvaged(NamedTuple):
    """The records of a log.

    `is_whole`: they are all there are, but for a torn end, which is normal (whether more was
    durable once is asked by who opens the log). `is_readable`: what is missing was not kept by the
    disk.
    """

    operations: tuple[Operation, ...]
    is_whole: bool
    is_readable: bool = True


def salvaged(storage: Storage, workspace: WorkspaceName) -> Salvaged:
    """Returns the records of a log; none and whole if there is no log."""
    try:
        data = storage.read(layout.operations_log(workspace))
    except FileNotFoundError:
        return Salvaged((), is_whole=True)
    except (OSError, StoreError):
        return Salvaged((), is_whole=False, is_readable=False)
    found: list[Operation] = []
    is_known = True
    is_gapless, stop = True, 0
    for start, end, payload in _valid_frames(data):
        is_gapless, stop = is_gapless and start == stop, end
        try:
            found.append(decode_operation(payload))
        except (FormatUnknownError, FormatTooNewError):
            # Of a later version: what it names is not known here.
            is_known = False
    is_ended = tail_after_power_loss(data, stop) in ("nothing", "torn")
    return Salvaged(tuple(found), is_whole=is_gapless and is_ended and is_known)


def records_behind(data: bytes, start: int) -> Iterator[bytes]:
    """Yields the payloads of the valid records of a log behind a place where none begins.

    Where there is one, what stands there is no torn end.
    """
    return (payload for _, _, payload in _valid_frames(data, start))


def _valid_frames(data: bytes, start: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """Yields (start, end, payload) of every frame that is valid where it stands."""
    while start + FRAME_HEADER_BYTES <= len(data):
        before = start
        for end, payload in frames(data, LOG_SEED, start=start):
            yield start, end, payload
            start = end
        # A length that is damaged leads nowhere: the next record is looked for at every byte. One
        # offset in 2**32 holds a false one.
        start = start if start > before else start + 1
