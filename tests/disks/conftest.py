"""Fixtures of the tests on full, failing and damaged disks."""

from tests.support.fixtures import boot, empty_chunk_index, shelf

__all__ = ["boot", "empty_chunk_index", "shelf"]
