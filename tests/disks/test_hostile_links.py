"""A store in which something else stands where a file was: links out of it, FIFOs, devices.

Unpacked from an archive of somebody else's, say. Nothing outside is read as the store's, changed or
made, nothing hangs: each is an error of ours.
"""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pyi_fs import limits
from tests.support.damage import build, files_of
from tests.support.engine_rig import opened
from tests.support.judging import fresh_copy, judged

pytestmark = pytest.mark.slow
WORKSPACES = ("a", "fork")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all there can be; its copies are damaged."""
    path = tmp_path_factory.mktemp("linked") / "store"
    build(path)
    return path


def picture(place: Path) -> dict[str, object]:
    """Returns all there is below a directory."""
    found: dict[str, object] = {}
    for path in sorted(place.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(place))] = (status.st_mode, status.st_mtime_ns, content(path))
    return found


def content(path: Path) -> object:
    if path.is_symlink():
        return os.readlink(path)
    return path.read_bytes() if path.is_file() else None


def same_outside(file: Path, outside: Path) -> None:
    os.link(file, outside / "same")
    (outside / "same").unlink()
    (outside / "same").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(outside / "same")


def other_outside(file: Path, outside: Path) -> None:
    (outside / "other").write_bytes(b"not of a store\n" * 500)
    file.unlink()
    file.symlink_to(outside / "other")


def nothing_outside(file: Path, outside: Path) -> None:
    file.unlink()
    file.symlink_to(outside / "nothing")


def itself(file: Path, outside: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def fifo(file: Path, outside: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_socket(file: Path, outside: Path) -> None:
    file.unlink()
    os.mknod(file, stat.S_IFSOCK | 0o600)


def device(file: Path, outside: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def directory(file: Path, outside: Path) -> None:
    file.unlink()
    file.mkdir()


KINDS = (
    *(same_outside, other_outside, nothing_outside, itself),
    *(fifo, a_socket, device, directory),
)


def judge_beside(outside: Path, store: Path, changed: Path) -> None:
    """Uses a store in every way; what is outside of it stays as it is."""
    before = picture(outside)
    try:
        judged(store, WORKSPACES)
    except BaseException as error:
        error.add_note(f"with {changed}")
        raise
    assert picture(outside) == before, changed


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_an_error_of_ours(
    template: Path, tmp_path: Path, kind: Callable[[Path, Path], None], is_long: bool
) -> None:
    """In the place of every file with `--long`; else of a third of them, others for each kind."""
    outside = tmp_path / "outside"
    files = files_of(template)
    some = files if is_long else files[KINDS.index(kind) % 3 :: 3]
    for number, file in enumerate(some):
        store = fresh_copy(template, tmp_path / "copy")
        outside.mkdir()
        kind(store / file.relative_to(template), outside)
        judge_beside(outside, store, file.relative_to(template))
        outside.rename(tmp_path / f"outside-{number}")


def test_a_directory_behind_a_link_is_an_error_of_ours(template: Path, tmp_path: Path) -> None:
    """With a right copy behind it: what a collection removes there would be somebody else's."""
    outside = tmp_path / "outside"
    for path in sorted(path for path in template.rglob("*") if path.is_dir()):
        store = fresh_copy(template, tmp_path / "copy")
        directory = store / path.relative_to(template)
        shutil.rmtree(outside, ignore_errors=True)
        directory.rename(outside)
        directory.symlink_to(outside)
        judge_beside(outside, store, path.relative_to(template))


def test_the_store_itself_may_be_reached_by_a_link(template: Path, tmp_path: Path) -> None:
    store = fresh_copy(template, tmp_path / "copy")
    (tmp_path / "link").symlink_to(store)
    with opened(tmp_path / "link") as found:
        assert found.workspace_names() == list(WORKSPACES)


@pytest.mark.parametrize("size", [1 << 33, 1 << 40])
def test_a_file_that_is_mostly_a_hole_takes_no_memory(
    template: Path, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terabyte of nothing in the place of its end; but for tables, which are mapped, not read."""
    monkeypatch.setattr(limits, "WHOLE_FILE_BYTES_MAX", 64 << 20)
    for file in files_of(template):
        if file.name == "base":
            continue
        store = fresh_copy(template, tmp_path / "copy")
        os.truncate(store / file.relative_to(template), size)
        try:
            judged(store, WORKSPACES)
        except BaseException as error:
            error.add_note(f"with {file.relative_to(template)}")
            raise
