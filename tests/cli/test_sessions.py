"""Several mounts of one process: each ends by itself, and whatever ends the process ends none."""

import os
import select
import signal
from contextlib import closing
from pathlib import Path

import pytest

from pyi_fs.cli.mountinfo import mounts
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.fuse.device import kernel_release
from pyi_fs.ids import WorkspaceName
from tests.support.commands import ROOT, environment, run
from tests.support.several import command, end, serve_beside, served, status

pytestmark = [pytest.mark.mount, pytest.mark.slow]
RESENDS = pytest.mark.skipif(kernel_release() < (6, 9), reason="this kernel does not resend")
DIRECT = "--transport=direct"


@pytest.fixture
def three(store, mountpoint: Path, mount) -> list[Path]:
    """Gives three mounts of one process: `main` and `try` of `ws`, and a fork."""
    return begin(store, mountpoint, mount)


def begin(store: Path, first: Path, mount, *options: object) -> list[Path]:
    mount("ws", DIRECT, *options)
    (first / "f").write_text("one")
    command(first, "branch", "try\n")
    command(first, "fork", "other\n")
    places = [first, first.parent / "try", first.parent / "other"]
    serve_beside(first, "try", places[1])
    # The second is asked for the third.
    serve_beside(places[1], "other/", places[2])
    assert len({one.pid for one in served(store).values()}) == 1
    return places


def pid_of(store: Path, place: Path) -> int:
    return served(store)[place.name].pid


def unmounted(place: Path) -> None:
    done = run("mount", "--unmount", place)
    assert done.code == 0, done.errors
    assert not os.path.ismount(place)


def is_sound(store: Path) -> None:
    done = run("fsck", "--store", store, "--verify-data")
    assert done.code == 0, done.output + done.errors


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_each_ends_by_itself_and_the_process_with_the_last(store, three, order):
    pid = pid_of(store, three[0])
    process = os.pidfd_open(pid)
    for index in order:
        (three[index] / "last").write_text(f"of {index}")
        unmounted(three[index])
        left = [three[other] for other in order[order.index(index) + 1 :]]
        assert sorted(served(store)) == sorted(place.name for place in left)
        for place in left:
            (place / f"after-{index}").write_text("goes on")
    # `--unmount` of the last has waited for it.
    assert select.select([process], [], [], 0)[0]
    os.close(process)
    for what, index in (("ws", 0), ("other", 2)):
        assert run("mount", DIRECT, what, three[index]).code == 0
        assert (three[index] / "last").read_text() == f"of {index}"
        unmounted(three[index])
    is_sound(store)


def test_a_signal_ends_all_and_everything_is_kept(store, three):
    for place in three:
        (place / "g").write_text(place.name)
    with (three[1] / "g").open():
        # Busy or not.
        end(pid_of(store, three[0]), signal.SIGTERM)
    assert not any(os.path.ismount(place) for place in three)
    assert served(store) == {}
    assert run("mount", DIRECT, "ws", three[0], "--branch", "try").code == 0
    assert (three[0] / "g").read_text() == "try"
    unmounted(three[0])
    is_sound(store)


@RESENDS
def test_each_goes_on_by_itself_when_the_process_is_killed(store, three):
    pid = pid_of(store, three[0])
    files = [(place / "open").open("w+") for place in three]
    for file in files:
        file.write("before ")
        file.flush()
    end(pid)
    for place, file in zip(three, files, strict=True):
        file.write("and after")
        file.close()
        assert (place / "open").read_text() == "before and after"
        assert status(place)["takeovers"] == 1
    pids = {pid_of(store, place) for place in three}
    assert len(pids) == 3
    assert pid not in pids
    # Each is one that can serve others, or end.
    command(three[2], "branch", "more\n")
    fourth = three[0].parent / "more"
    serve_beside(three[2], "more", fourth)
    end(pid_of(store, three[2]))
    for place in (*three[::2], fourth):
        (place / "new").write_text("x")
        unmounted(place)
    unmounted(three[1])
    is_sound(store)


@RESENDS
def test_a_mount_that_has_ended_stays_so_when_its_process_is_killed_later(store, three):
    """The first of a successor: its holder waits for that process, which goes on with others."""
    end(pid_of(store, three[0]))
    command(three[0], "branch", "more\n")
    fourth = three[0].parent / "more"
    serve_beside(three[0], "more", fourth)
    pid = pid_of(store, three[0])
    unmounted(three[0])
    # Its branch is free, although that process and its holder are still there.
    with (
        closing(Store.open(store)) as opened,
        closing(Workspace(opened, WorkspaceName("ws"))) as workspace,
    ):
        workspace.open_branch("main")
    end(pid)
    assert (fourth / "f").read_text() == "one"
    assert sorted(served(store)) == ["more", "other", "try"]
    for place in (*three[1:], fourth):
        unmounted(place)
    is_sound(store)


@RESENDS
def test_an_upgrade_of_one_is_one_of_all(store, three):
    pid = pid_of(store, three[0])
    with (three[1] / "f").open("r+") as file:
        done = run("mount", "--upgrade", three[2])
        assert done.code == 0, done.errors
        assert f"process {pid} to " in done.output
        file.write("two")
    assert (three[1] / "f").read_text() == "two"
    assert (three[0] / "f").read_text() == "one"
    assert pid not in {one.pid for one in served(store).values()}
    for place in three:
        unmounted(place)
    is_sound(store)


# A mistake that gets past everything: of a loop, when a name is looked up.
BUG = """
import pyi_fs.fuse.direct_transport as module
from pyi_fs.fuse.ledger import Word
take = module.DirectTransport.take
def broken(self, buffer, view, length):
    if b"break-the-loop" in buffer[:length]:
        if not self._ledger.words[Word.TAKEOVERS]:
            raise RuntimeError("a mistake")
    return take(self, buffer, view, length)
module.DirectTransport.take = broken
"""


@pytest.fixture
def bug(tmp_path, monkeypatch):
    (tmp_path / "bug").mkdir()
    (tmp_path / "bug/sitecustomize.py").write_text(BUG)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'bug'}:{ROOT}")
    return {**environment(), "PYTHONPATH": f"{tmp_path / 'bug'}:{ROOT}"}


@RESENDS
def test_a_bug_in_one_leaves_all_to_their_successors(store, mountpoint, bug):
    def mount(*arguments):
        done = run("mount", *arguments, mountpoint, env=bug)
        assert done.code == 0, done.errors

    places = begin(store, mountpoint, mount)
    pid = pid_of(store, mountpoint)
    with pytest.raises(FileNotFoundError):
        (places[1] / "break-the-loop").stat()
    for place in places:
        (place / "g").write_text("goes on")
        assert status(place)["takeovers"] == 1
    assert pid not in {one.pid for one in served(store).values()}
    assert "a mistake" in (store / "logs/ws/try.log").read_text()
    for place in places:
        unmounted(place)
    is_sound(store)


def test_a_bug_without_a_holder_ends_its_own_mount_alone(store, mountpoint, bug):
    def mount(*arguments):
        done = run("mount", *arguments, mountpoint, env=bug)
        assert done.code == 0, done.errors

    places = begin(store, mountpoint, mount, "--no-holder")
    (places[1] / "g").write_text("kept")
    with pytest.raises(OSError, match=r"not connected|abort"):
        (places[1] / "break-the-loop").stat()
    for place in places[::2]:
        (place / "g").write_text("goes on")
    for place in places[::2]:
        unmounted(place)
    assert not os.path.ismount(places[1])
    assert run("mount", DIRECT, "ws", places[1], "--branch", "try").code == 0
    assert "a mistake" in (store / "logs/ws/try.log").read_text()
    assert (places[1] / "g").read_text() == "kept"
    unmounted(places[1])
    is_sound(store)


def test_the_process_is_shown_with_what_it_serves(store, three):
    def shown() -> str:
        return Path(f"/proc/{pid_of(store, three[2])}/cmdline").read_text().rstrip("\0")

    assert shown() == f"pyi-mount ws {three[0]} (and 2 more)"
    unmounted(three[0])
    assert shown() == f"pyi-mount ws {three[1]} (and 1 more)"
    unmounted(three[1])
    assert shown() == f"pyi-mount other {three[2]}"


def test_each_has_a_log_of_its_own(store, three):
    end(pid_of(store, three[0]), signal.SIGTERM)
    for place, log in zip(three, ("ws/main.log", "ws/try.log", "other/main.log"), strict=True):
        lines = (store / "logs" / log).read_text().splitlines()
        assert any(line.endswith(f"unmounting {place}") for line in lines)
        assert sum("unmounting" in line for line in lines) == 1


# Ends the process once, when it has mounted what it was asked for: before it is served, or after.
DEATH = """
import os, signal
from pyi_fs.cli.sessions import Sessions
begin = Sessions._begin_beside
def once():
    if os.path.exists({flag!r}):
        os.unlink({flag!r})
        os.kill(os.getpid(), signal.SIGKILL)
def dying(self, one, mounted):
    if {moment!r} == "before":
        once()
    begin(self, one, mounted)
    once()
Sessions._begin_beside = dying
"""


@RESENDS
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("what", ["try", "other/", "@s"])
def test_what_is_asked_for_is_mounted_once_whenever_the_process_dies(
    store, mountpoint, mount, tmp_path, moment, what
):
    flag, death = tmp_path / "flag", tmp_path / "death"
    death.mkdir()
    (death / "sitecustomize.py").write_text(DEATH.format(flag=str(flag), moment=moment))
    path = {**environment(), "PYTHONPATH": f"{death}:{ROOT}"}
    assert run("mount", DIRECT, "ws", mountpoint, env=path).code == 0
    (mountpoint / "f").write_text("one")
    for name, text in (("snapshot", "s\n"), ("branch", "try\n"), ("fork", "other\n")):
        command(mountpoint, name, text)
    (tmp_path / "new").mkdir()
    (tmp_path / "link").symlink_to("new")
    flag.touch()
    # A dead mount is not looked for behind a link.
    name = "link" if moment == "after" else "new"
    command(mountpoint, "mount", f"{what} {tmp_path / name}\n")
    assert not flag.exists()
    assert (tmp_path / "new/f").read_text() == "one"
    assert status(tmp_path / "new")["takeovers"] == (1 if moment == "after" else 0)
    assert [mount.mountpoint for mount in mounts()].count(str(tmp_path / "new")) == 1
    assert sorted(served(store)) == ["mnt", "new"]
    for place in (tmp_path / "new", mountpoint):
        unmounted(place)
    is_sound(store)


def private_kb(pid: int) -> int:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (found,) = (int(row.split()[1]) for row in rows if row.startswith("Private_Dirty"))
    return found


def test_a_mount_more_takes_a_fraction_of_a_process(store, three):
    """And one that has ended leaves nothing: neither memory nor descriptors."""
    pid = pid_of(store, three[0])
    places = [three[0].parent / f"m{number}" for number in range(8)]
    before = private_kb(pid)
    for number, place in enumerate(places):
        command(three[0], "fork", f"fork{number}\n")
        serve_beside(three[0], f"fork{number}/", place)
        (place / "new").write_text("x")
    grown = (private_kb(pid) - before) / len(places)
    assert grown < private_kb(pid) / 8, f"{grown} KB each"
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    for _ in range(3):
        unmounted(places[0])
        serve_beside(three[0], "fork0/", places[0])
        (places[0] / "new").write_text("y")
    assert len(os.listdir(f"/proc/{pid}/fd")) < descriptors + 18
    for place in (*places, *three):
        unmounted(place)
