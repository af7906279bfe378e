"""The settings of a store: defaults, limits of a disk, and a file that people may write."""

from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.engine import retention
from pyi_fs.engine.gc_settings import DEFAULT, Settings, read_settings, write_settings
from pyi_fs.errors import InvalidArgumentError
from tests.support.engine_rig import opened

GB = 10**9


def test_the_default_is_what_retention_says() -> None:
    assert DEFAULT.policy() == retention.DEFAULT
    assert DEFAULT.automatic


def test_limits_are_of_the_disk_unless_they_are_given() -> None:
    assert DEFAULT.budget(100 * GB) == 80 * GB
    assert DEFAULT.free(100 * GB) == 5 * GB
    assert DEFAULT.free(10_000 * GB) == limits.FREE_BYTES_DEFAULT_MAX
    assert Settings(budget_bytes=GB).budget(100 * GB) == GB
    assert Settings(budget_percent=None).budget(100 * GB) is None
    assert Settings(free_bytes=GB).free(100 * GB) == GB
    assert Settings(free_percent=None).free(100 * GB) == 0


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        assert read_settings(store.storage) == DEFAULT
        wanted = Settings(automatic=False, budget_bytes=7, weekly_seconds=3)
        write_settings(store.storage, wanted)
        assert read_settings(store.storage) == wanted


@pytest.mark.parametrize(
    "text", ["", "{", '{"automatic": 3}', '{"colour": 1}', '{"all_seconds": -1}']
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    with opened(tmp_path / "store") as store:
        (tmp_path / "store" / "gc.settings").write_text(text)
        with pytest.raises(InvalidArgumentError, match=r"gc\.settings"):
            read_settings(store.storage)
