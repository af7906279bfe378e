"""Fixtures of the engine tests."""

from tests.support.fixtures import (
    boot,
    empty_chunk_index,
    memory,
    shared_memory,
    shelf,
    store_dir,
    tiered,
    workspace,
)

__all__ = [
    "boot",
    "empty_chunk_index",
    "memory",
    "shared_memory",
    "shelf",
    "store_dir",
    "tiered",
    "workspace",
]
