"""A store's beginning: made on first use, by many at once, and never over something else."""

import subprocess
import sys
from pathlib import Path

import pytest

from pyi_fs.engine.store import Store
from pyi_fs.errors import FormatTooNewError, FormatUnknownError, NotFoundError
from pyi_fs.store import layout

ROOT = Path(__file__).resolve().parents[2]
OPENING = """
import sys
from pathlib import Path
from pyi_fs.engine.store import Store
sys.stdin.read()
for number in range(5):
    Store.open(Path(sys.argv[1]) / f"store{number}").close()
"""


def test_a_store_is_made_on_first_use(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Store.open(tmp_path / "a" / "store", create=False)
    store = Store.open(tmp_path / "a" / "store")
    assert store.workspace_names() == []
    store.close()
    assert (tmp_path / "a" / "store").stat().st_mode & 0o777 == 0o700
    Store.open(tmp_path / "a" / "store", create=False).close()


def test_another_directory_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FormatUnknownError, match="not empty"):
        Store.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("left", [[], ["layers"], ["layers", "workspaces", "packs"]])
def test_a_store_half_made_is_finished(tmp_path: Path, left: list[str]) -> None:
    """Its maker died, or is at it now: the format is written last."""
    for name in left:
        (tmp_path / name).mkdir()
    (tmp_path / f"{layout.FORMAT}.0123456789abcdef.tmp").touch()
    Store.open(tmp_path).close()
    assert (tmp_path / layout.FORMAT).read_text().startswith("pyi-fs store")


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    (tmp_path / layout.FORMAT).write_text("pyi-fs store 99\n")
    with pytest.raises(FormatTooNewError, match="99"):
        Store.open(tmp_path)


@pytest.mark.slow
def test_many_processes_may_make_a_store_at_the_same_time(tmp_path: Path) -> None:
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", OPENING, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    # All have started when the last has; they go on when their input ends.
    for program in programs:
        assert program.stdin is not None
        program.stdin.close()
    for program in programs:
        assert program.stderr is not None
        with program.stderr:
            said = program.stderr.read().decode()
        assert program.wait(60) == 0, said
