"""Several files made durable at once: what became of each is told."""

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyi_fs.store import sync_together
from pyi_fs.store.sync_together import sync_descriptors


@pytest.fixture
def descriptors(tmp_path: Path) -> Iterator[list[int]]:
    found = [os.open(tmp_path / f"f{index}", os.O_RDWR | os.O_CREAT) for index in range(5)]
    for descriptor in found:
        os.write(descriptor, b"content")
    yield found
    for descriptor in found:
        os.close(descriptor)


@pytest.fixture(params=["at once", "one by one"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both ways; the second where the kernel refuses."""
    if request.param == "one by one":
        monkeypatch.setattr(sync_together, "_CALLS", {})
    sync_together.at_once.cache_clear()
    yield str(request.param)
    sync_together.at_once.cache_clear()


def test_all_are_synced(descriptors: list[int], how: str) -> None:
    for count in range(len(descriptors) + 1):
        assert sync_descriptors(descriptors[:count]) == [None] * count


def test_each_has_an_outcome_of_its_own(descriptors: list[int], how: str) -> None:
    # A pipe has no fdatasync, and 10,000 is no descriptor.
    reading, writing = os.pipe()
    found = sync_descriptors([descriptors[0], writing, descriptors[1]])
    assert [error and error.errno for error in found] == [None, errno.EINVAL, None]
    found = sync_descriptors([10_000, descriptors[0]])
    assert [error and error.errno for error in found] == [errno.EBADF, None]
    found = sync_descriptors([descriptors[0], 10_000, descriptors[1]])
    assert [error and error.errno for error in found] == [None, errno.EBADF, None]
    os.close(reading)
    os.close(writing)


def test_more_than_the_kernel_is_asked_for_at_once(descriptors: list[int], how: str) -> None:
    assert sync_descriptors(descriptors * 10) == [None] * 50


def test_many_threads_sync_at_once(descriptors: list[int], how: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(sync_descriptors, [descriptors[:3]] * 200))
    assert found == [[None] * 3] * 200


def test_a_machine_that_allows_no_context_syncs_all_the_same(
    descriptors: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_together.at_once.cache_clear()
    together = sync_together.at_once()
    if together is None:
        pytest.skip("nothing is done at once on this machine")
    monkeypatch.setattr(together, "_setup", 1 << 20)
    assert sync_descriptors(descriptors) == [None] * 5
    assert vars(together)["_is_refused"]
    sync_together.at_once.cache_clear()
