"""Fixtures of the crash tests."""

from tests.support.fixtures import (
    boot,
    empty_chunk_index,
    layer_numbers,
    memory,
    memory_path,
    shared_memory,
    shelf,
    store_dir,
    workspace,
)

__all__ = [
    "boot",
    "empty_chunk_index",
    "layer_numbers",
    "memory",
    "memory_path",
    "shared_memory",
    "shelf",
    "store_dir",
    "workspace",
]
