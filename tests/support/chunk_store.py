"""Chunks to store, and a process that opens a chunk store and dies."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

from blake3 import blake3

from pyi_fs.ids import ChunkId
from pyi_fs.store.chunks import ChunkStore
from pyi_fs.store.index import ChunkIndex
from pyi_fs.store.storage import Storage


def chunk_id(data: bytes) -> ChunkId:
    return ChunkId(blake3(data).digest())


def noise(number: int, length: int = 1000) -> bytes:
    return random.Random(number).randbytes(length)


@contextmanager
def opened(storage: Storage, **options: int) -> Iterator[ChunkStore]:
    """A process that opens the store, and leaves it without a flush."""
    index = ChunkIndex(storage)
    store = ChunkStore(storage, index, **options)
    try:
        store.reconcile()
        yield store
    finally:
        index.close()
