"""Replacing and removing files so that their old bytes are overwritten with zeros first.

For what must not be found on the disk afterwards. A filesystem that writes elsewhere than it reads,
or a disk that does, keeps the old blocks until it uses them again. No process may be reading.
"""

from collections.abc import Sequence

from pyi_fs.ids import Buffer
from pyi_fs.store.storage import TEMPORARY_SUFFIX, AppendFile, Storage

OVERWRITTEN_SUFFIX = f".old{TEMPORARY_SUFFIX}"
"""Ends the name of a file that is going; what a crash leaves of it means nothing."""
_ZEROS_BYTES = 1 << 20


def replace(storage: Storage, path: str, parts: Sequence[Buffer]) -> None:
    """Does `write_atomic` and overwrites what was there before; durable on return."""
    old = storage.open_append(path)
    try:
        storage.write_atomic(path, parts)
        _overwrite(old)
    finally:
        old.close()


def discard(storage: Storage, path: str) -> None:
    """Removes a file if it is there.

    What a crash leaves of it has its name, or one that ends in `OVERWRITTEN_SUFFIX`.
    """
    going = path if path.endswith(OVERWRITTEN_SUFFIX) else path + OVERWRITTEN_SUFFIX
    if going != path:
        if not storage.exists(path):
            return
        storage.rename(path, going)
        # Else a power loss may bring back its name, with zeros in it.
        storage.sync_directory(going.rpartition("/")[0])
    file = storage.open_append(going)
    try:
        _overwrite(file)
    finally:
        file.close()
    storage.remove(going)


def _overwrite(file: AppendFile) -> None:
    size_bytes = file.size_bytes
    for offset in range(0, size_bytes, _ZEROS_BYTES):
        file.write_again(offset, bytes(min(_ZEROS_BYTES, size_bytes - offset)))
    file.sync()
