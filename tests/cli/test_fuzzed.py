"""Every command line, with whatever somebody may write on it: an exit code and one line.

1 refused, 2 usage, `pyi-fsck` as fsck(8); what is done ends with 0. Never a traceback, and nothing
waits for an answer. Most run in this process, some as programs of their own.
"""

import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyi_fs.cli import fork, fsck, gc, git_export, mount, mount_helper, store
from pyi_fs.cli.program import exit_code
from tests.support.engine_rig import opened, put, written
from tests.support.judging import bounded
from tests.support.reach import let_everybody_reach

pytestmark = [pytest.mark.slow]
PROGRAMS: dict[str, tuple[click.Command, int, int]] = {
    "pyi-mount": (mount.command, 1, 2),
    "pyi-fork": (fork.command, 1, 2),
    "pyi-store": (store.command, 1, 2),
    "pyi-gc": (gc.command, 1, 2),
    "pyi-git-export": (git_export.command, 1, 2),
    "pyi-fsck": (fsck.command, 8, 16),
    "mount.fuse.pyi": (mount_helper.command, 1, 2),
}
MOUNTING = {"pyi-mount", "mount.fuse.pyi"}
FSCK_CODES = {0, 1, 2, 3, 4, 8, 16, 32, 128}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store beside a file, an empty directory, a directory of somebody else's, a broken store."""
    path = tmp_path_factory.mktemp("lines")
    with opened(path / "store") as found, written(found, "w") as (workspace, branch):
        put(branch, b"file", b"text")
        workspace.snapshot(branch, name="s")
    (path / "file").write_text("a file")
    (path / "empty").mkdir()
    (path / "other").mkdir()
    (path / "other" / "x").write_text("somebody's")
    (path / "broken").mkdir()
    (path / "broken" / "format").write_bytes(b"\xff\x00\n")
    (path / "loop").symlink_to("loop")
    return path


STORES = (
    "store",
    "file",
    "empty",
    "other",
    "broken",
    "missing",
    "loop",
    "file/below",
    "\udcff",
    "",
)
WORDS = (
    "w", "w@s", "w@nosuch", "nosuch", "w@", "@s", "@", "w/main", "-", "--", "", " ", "\n", "..",
    "a/b", "x" * 300, "\udcff\udcfe", "ü", "s", "main", "1", "-1", "9" * 400, "1e400", "nan", "5GB",
    "pin", "unpin", "ls", "info", "rm", "purge", "PLACE/empty", "PLACE/file", "PLACE/missing/x",
)  # fmt: skip
# Of `mount -o`: known ones, ones with values of any kind, and what is none.
MOUNT_WORDS = (
    "ro", "rw", "remount", "nodev", "suid", "noatime", "defaults", "_netdev", "x-systemd.automount",
    "allow_other", "writeback", "over", "must_exist", "branch=side", "branch=", "branch=../..",
    "sync_interval=5s", "sync_interval=-1", "snapshot_every=x", "control_uid=9" + "9" * 30,
    "transport=direct", "transport=\udcff", "spin_us=1e9", "frob", "=", "==", "", " ", "\n",
    "store=/", "x" * 5000, "\udcff\udcfe",
)  # fmt: skip
SOURCES = (
    "PLACE/file#w", "PLACE/broken#w", "PLACE/loop#w", "PLACE/other#w", "PLACE/file/below#w@s",
    "PLACE/file#", "#", "#w", "w", "w@", "@", "", "s#w", "PLACE/file#w#w", "PLACE/file#../..",
    "PLACE/file#\udcff", "\udcff", "/dev/null#w", "/proc/self/mem#w", "-o", "--",
)  # fmt: skip


def options(command: click.Command) -> list[str]:
    """Returns every option of a program and of what is below it."""
    found = [name for parameter in command.params for name in parameter.opts if name[0] == "-"]
    if isinstance(command, click.Group):
        for below in command.commands.values():
            found += options(below)
    return sorted(set(found))


def lines(program: str) -> st.SearchStrategy[list[str]]:
    some = options(PROGRAMS[program][0])
    word = st.one_of(
        st.sampled_from(WORDS),
        st.sampled_from([*some, *some, "--nosuch", *(f"{one}=" for one in some)]),
        st.text(max_size=8).filter(lambda text: "\0" not in text),
    )
    return st.lists(word, max_size=5)


@pytest.mark.parametrize("program", sorted(set(PROGRAMS) - MOUNTING))
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_line_ends_with_a_code_and_a_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], program: str, data: st.DataObject
) -> None:
    arguments = [word.replace("PLACE", str(place)) for word in data.draw(lines(program))]
    where = data.draw(st.sampled_from(STORES))
    judge(place, capsys, program, ["--store", f"{place}/{where}", *arguments])


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(data=None)
def test_any_line_of_a_mount_that_cannot_be(
    place: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject | None
) -> None:
    """With a store or a mountpoint that is none, so that nothing is mounted whatever is asked."""
    words = [] if data is None else data.draw(lines("pyi-mount"))
    arguments = [word.replace("PLACE", str(place)) for word in words]
    judge(place, capsys, "pyi-mount", ["--store", f"{place}/file", *arguments, f"{place}/missing"])


def mount_lines() -> st.SearchStrategy[list[str]]:
    """Draws what mount(8) gives its helper."""
    others = ("-s", "-f", "-n", "-v", "-sfnv", "-t", "fuse.pyi", "-N", "-o", "--version", "-x")
    text = st.text(max_size=8).filter(lambda text: "\0" not in text)
    words = st.lists(st.one_of(st.sampled_from(MOUNT_WORDS), text), max_size=5)
    return st.builds(
        lambda source, more, words: [source, "PLACE/missing", *more, "-o", ",".join(words)],
        st.one_of(st.sampled_from(SOURCES), text),
        st.lists(st.sampled_from([*others, "PLACE/missing"]), max_size=3),
        words,
    )


@given(line=mount_lines())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_line_of_fstab_that_cannot_be_mounted(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: list[str],
) -> None:
    """Neither mountpoint nor default store is any, so that nothing is mounted or made."""
    monkeypatch.setenv("PYI_STORE", f"{place}/file")
    judge(place, capsys, "mount.fuse.pyi", [word.replace("PLACE", str(place)) for word in line])


def judge(
    place: Path, capsys: pytest.CaptureFixture[str], program: str, arguments: list[str]
) -> None:
    command, failed, usage = PROGRAMS[program]
    with bounded(), chdir(place / "empty"):
        code = exit_code(command, arguments, program, failed=failed, usage=usage)
    said = capsys.readouterr().err
    assert code in (FSCK_CODES if program == "pyi-fsck" else {0, 1, 2}), arguments
    assert "Traceback" not in said
    if code in (failed, usage) and program != "pyi-fsck":
        assert [line for line in said.splitlines() if line.startswith(f"{program}: ")], arguments


@pytest.mark.parametrize("program", sorted(PROGRAMS))
@pytest.mark.parametrize(
    "arguments",
    [
        [b"\xff\xfe"],
        [b"--store", b"\xff"],
        [b"--store=/dev/null", b"w", b"x"],
        [b"--store", b"/proc/self/mem", b"w"],
        [b"--\xff"],
        [b"x" * 100_000],
    ],
    ids=["bytes", "store of bytes", "device", "memory", "option of bytes", "long"],
)
def test_bytes_that_are_no_text(tmp_path: Path, program: str, arguments: list[bytes]) -> None:
    """As a program: arguments are bytes there, and the locale has only ASCII."""
    script = Path(sys.executable).with_name(program)
    done = subprocess.run(
        [script, *arguments],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode in (FSCK_CODES if program == "pyi-fsck" else {1, 2}), done
    assert done.stderr.startswith(program.encode() + b": ") or program == "pyi-fsck", done


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("program", sorted(set(PROGRAMS) - MOUNTING))
def test_a_store_that_this_user_cannot_read(
    place: Path, capsys: pytest.CaptureFixture[str], program: str
) -> None:
    """Of root, mode 0700: refused with a sentence."""
    let_everybody_reach(place)
    arguments = [
        "--store",
        str(place / "store"),
        *(["ls"] if program == "pyi-store" else ["w", "x"]),
    ]
    # Once before: what a program imports late, this user cannot read either.
    judge(place, capsys, program, ["--store", str(place / "missing"), *arguments[2:]])
    os.seteuid(65534)
    try:
        judge(place, capsys, program, arguments)
        command, failed, usage = PROGRAMS[program]
        assert exit_code(command, arguments, program, failed=failed, usage=usage) != 0
    finally:
        os.seteuid(0)
