"""Unmodified tools on a mounted workspace: git, make, verilator, cp, tar, rsync, odd readers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.acceptance import (
    ROOT,
    Served,
    differences,
    make_source,
    picture,
    run,
)

pytestmark = [pytest.mark.mount, pytest.mark.slow]

GIT = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "tester"), ("EMAIL", "tester@example.org"))
} | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

MAKEFILE = """\
OBJECTS = $(patsubst %.c,%.o,$(wildcard *.c))
prog: $(OBJECTS)
\t$(CC) -o $@ $^
%.o: %.c common.h
\t$(CC) -c -o $@ $<
"""


def git(*arguments: str | Path) -> str:
    return run("git", *arguments, env=GIT)


@pytest.fixture
def source(place, is_long):
    """A git repository with some files: 2,000, or 200."""
    top = place / "source"
    make_source(top, 2000 if is_long else 200)
    git("init", "-q", top)
    git("-C", top, "add", "-A")
    git("-C", top, "commit", "-qm", "all")
    return top


def test_git_clone_is_sound_and_stays_clean(served, source):
    """Also after a restore that brings the clone back, where git trusts stat alone."""
    clone = served.path / "clone"
    git("clone", "-q", source, clone)
    git("-C", clone, "fsck", "--strict")
    assert git("-C", clone, "status", "--porcelain") == ""
    assert differences(picture(clone / "d0"), picture(source / "d0")) == []
    snapshot = served.snapshot()
    shutil.rmtree(clone)
    assert os.listdir(served.path) == []
    served.control("restore", snapshot)
    before = (clone / ".git" / "index").read_bytes()
    # Porcelain status rewrites the index when a stat differs: nothing may.
    assert git("-C", clone, "status", "--porcelain") == ""
    assert (clone / ".git" / "index").read_bytes() == before
    git("-C", clone, "fsck", "--strict")
    (clone / "d0" / "new.c").write_text("int new;\n")
    git("-C", clone, "add", "-A")
    git("-C", clone, "commit", "-qm", "more")
    git("-C", clone, "gc", "-q")
    git("-C", clone, "checkout", "-q", "HEAD~1")
    assert not (clone / "d0" / "new.c").exists()
    assert differences(picture(clone / "d0"), picture(source / "d0")) == []


def write_project(top: Path, count: int) -> None:
    top.mkdir()
    (top / "Makefile").write_text(MAKEFILE)
    (top / "common.h").write_text("#include <stdio.h>\n")
    names = [f"f{number}" for number in range(count)]
    for number, name in enumerate(names):
        body = f'#include "common.h"\nint {name}(int x) {{ return x * {number}; }}\n'
        (top / f"{name}.c").write_text(body)
    calls = " + ".join(f"{name}(1)" for name in names)
    externs = "".join(f"int {name}(int);\n" for name in names)
    main = (
        f'#include "common.h"\n{externs}int main(void) {{ printf("%d\\n", {calls}); return 0; }}\n'
    )
    (top / "main.c").write_text(main)


def is_up_to_date(top: Path) -> bool:
    return "up to date" in run("make", "-C", top)


def test_make_builds_and_knows_what_is_up_to_date(place, writeback, is_long):
    """After a restore, an undo and a remount, too: make compares times to the nanosecond."""
    count = 100 if is_long else 20
    with Served(place / "store", "w", place / "mount", writeback=writeback) as served:
        top = served.path / "project"
        write_project(top, count)
        empty = served.snapshot()
        run("make", "-j2", "-C", top)
        assert run(top / "prog").strip() == str(sum(range(count)))
        assert is_up_to_date(top)
        built = served.snapshot()
        served.control("restore", empty)
        assert not (top / "prog").exists()
        served.control("undo")
        assert is_up_to_date(top)
        served.control("restore", built)
        assert is_up_to_date(top)
        (top / "f1.c").write_text("int f1(int x) { return x * 1001; }\n")
        assert "f1.o" in run("make", "-C", top)
        assert run(top / "prog").strip() == str(sum(range(count)) + 1000)
    with Served(place / "store", "w", place / "mount", writeback=writeback) as served:
        assert is_up_to_date(served.path / "project")
        served.control("restore", built)
        assert is_up_to_date(served.path / "project")


@pytest.mark.skipif(shutil.which("verilator") is None, reason="verilator is not installed")
def test_verilator_compiles_and_runs_the_shipped_design(served, is_long):
    if not is_long:
        pytest.skip("takes 15 s: with --long")
    design = served.path / "fir"
    shutil.copytree(ROOT / "bench" / "designs" / "fir_dsp", design)
    printed = run("./flow.sh", "verilator", "CYCLES=5000", cwd=design, seconds=100)
    assert "PASS" in printed


def fill(top: Path) -> None:
    """Makes all kinds of files, with hard links inside and between directories."""
    make_source(top, 60)
    os.link(top / "d0" / "s0" / "f0.c", top / "hard")
    os.link(top / "d0" / "s0" / "f0.c", top / "d1" / "hard")
    os.mkfifo(top / "fifo")
    (top / "odd name\n\xff").write_bytes(b"odd")
    os.setxattr(top / "tool.sh", "user.note", b"value")


def make_old(tree: Path) -> None:
    """Gives everything a time long ago.

    rsync compares the times of directories in whole seconds and leaves one as its last rename made
    it if that was in the same second, on ext4 as well.
    """
    for path in [*tree.rglob("*"), tree]:
        os.utime(path, ns=(10**18 + 1, 10**18 + 2), follow_symlinks=False)


def test_copies_between_views_have_the_right_content(served, place):
    """cp, cp -a, mv, tar, rsync -H and du between root, snapshot and branch.

    With equal inode numbers cp says `same file`, and tar makes hard links of strangers.
    """
    root = served.path
    fill(root / "tree")
    make_old(root / "tree")
    wanted = picture(root / "tree", times=True)
    snapshot = served.snapshot()
    served.control("branch", "other")
    # The same names, other content of the same length.
    changed = root / ".pyi" / "branches" / "other" / "tree"
    for path in sorted((changed / "d0").rglob("*.c")):
        path.write_bytes(path.read_bytes().replace(b"int", b"INT"))
    other = picture(changed, times=True)
    assert len(differences(wanted, other)) > 1
    frozen = root / ".pyi" / "snapshots" / snapshot / "tree"
    assert differences(picture(frozen, times=True), wanted) == []

    run("cp", "-a", frozen, root / "from-snapshot")
    run("cp", "-a", changed, root / "from-branch")
    run("cp", "-a", root / "tree", root / ".pyi" / "branches" / "other" / "from-root")
    run("rsync", "-aHX", "--devices", "--specials", f"{changed}/", root / "synced")
    run("rsync", "-aHX", "--specials", f"{frozen}/", f"{place}/synced")
    for copy, original in (
        (root / "from-snapshot", wanted),
        (root / "from-branch", other),
        (root / ".pyi" / "branches" / "other" / "from-root", wanted),
        (root / "synced", other),
        (place / "synced", wanted),
    ):
        assert differences(picture(copy, times=True), original) == []
        assert os.stat(copy / "hard").st_nlink == 3
        assert os.getxattr(copy / "tool.sh", "user.note") == b"value"
    assert "same" not in run("rsync", "-aHXni", "--specials", f"{frozen}/", f"{place}/synced/")
    assert run("rsync", "-aHXni", "--specials", f"{frozen}/", f"{place}/synced/").strip() == ""

    # Both trees in one archive: tar takes equal (device, inode) for hard links of one file.
    run("tar", "-C", root, "-cf", place / "all.tar", "tree", changed, frozen)
    (place / "all").mkdir()
    run("tar", "-C", place / "all", "-xf", place / "all.tar")
    assert differences(picture(place / "all" / "tree"), picture(root / "tree")) == []
    for view in (changed, frozen):
        unpacked = place / "all" / str(view).lstrip("/")
        assert differences(picture(unpacked), picture(view)) == []

    apparent = [
        run("du", "-s", "--apparent-size", "-B1", path, root / "tree").split()
        for path in (frozen, changed)
    ]
    for first, _, second, _ in apparent:
        assert int(first) == int(second)
    moved = root / ".pyi" / "branches" / "other" / "tree" / "d0"
    run("mv", moved, root / "moved")
    assert not moved.exists()
    inside = {key: value for key, value in other.items() if key.startswith("d0/")}
    found = {f"d0/{key}": value for key, value in picture(root / "moved", times=True).items()}
    assert differences(found, inside) == []
    run("cp", frozen / "d0" / "s0" / "f0.c", root / "tree" / "d0" / "s0" / "f0.c")
    assert differences(picture(root / "tree"), picture(frozen)) == []


def test_readers_of_all_kinds_take_one_snapshot_each(served):
    """What reads byte by byte, or the first bytes only, or sizes its buffer by stat."""
    snapshot = served.path / ".pyi" / "snapshot"
    readers = {
        "dd": ["dd", f"if={snapshot}", "bs=1", "status=none"],
        "cat": ["cat", str(snapshot)],
        "python": [sys.executable, "-c", f"print(open({str(snapshot)!r}).read(), end='')"],
        "shell": ["sh", "-c", f'read -r line < {snapshot}; echo "$line"'],
        "head": ["head", "-c", "5", str(snapshot)],
    }
    if shutil.which("node"):
        script = f"process.stdout.write(require('fs').readFileSync({str(snapshot)!r}, 'utf8'))"
        readers["node sync"] = ["node", "-e", script]
        callback = f"require('fs').readFile({str(snapshot)!r}, (e, d) => process.stdout.write(d))"
        readers["node"] = ["node", "-e", callback]
    for number, (name, command) in enumerate(readers.items(), start=1):
        (served.path / f"file{number}").write_text(name)
        answer = run(*command)
        assert answer.startswith(f"{number}-"), (name, answer)
        if name != "head":
            assert answer.rstrip("\n").endswith("\t+1 ~0 -0"), (name, answer)
    assert served.status()["snapshots"] == len(readers)


def test_wandering_through_the_control_directory_is_harmless(served):
    root = served.path
    (root / "dir").mkdir()
    (root / "dir" / "file").write_text("x\n")
    served.snapshot()
    served.control("branch", "other")
    before = picture(root)
    names = run("find", ".pyi", cwd=root).splitlines()
    assert ".pyi/snapshot" in names
    assert ".pyi/branches/other/dir/file" in names
    subprocess.run(
        ["grep", "-r", "x", ".pyi"], cwd=root, stdout=subprocess.PIPE, timeout=60, check=False
    )
    # Listed nowhere: nothing that walks the tree finds it.
    assert ".pyi" not in os.listdir(root)
    assert "pyi" not in run("tar", "-cf", "-", "--exclude=.", ".", cwd=root)
    assert differences(picture(root), before) == []
    assert sorted(os.listdir(root / ".pyi" / "branches")) == ["main", "other"]
    run("sh", "-c", "rm -rf * .[!.]*", cwd=root)
    assert os.listdir(root) == []
    assert (root / ".pyi" / "last").read_text()


def test_a_recursive_delete_of_the_control_directory_by_name(served):
    """What `docs/control-directory.md` says is left: the tree, snapshots, and the way back."""
    root = served.path
    (root / "dir").mkdir()
    (root / "dir" / "file").write_text("x\n")
    snapshot = served.snapshot()
    served.control("branch", "other")
    (root / ".pyi" / "branches" / "other" / "unkept").write_text("y\n")
    before = picture(root)
    done = subprocess.run(
        ["rm", "-rf", ".pyi"], cwd=root, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "'.pyi/restore': Operation not permitted" in done.stderr
    assert f"'.pyi/snapshots/{snapshot}/dir/file': Read-only file system" in done.stderr
    assert differences(picture(root), before) == []
    assert differences(picture(root / ".pyi" / "snapshots" / snapshot), before) == []
    assert os.listdir(root / ".pyi" / "branches") == ["main"]
    served.control("undo")
    # What rm emptied before is empty, as anywhere; what a snapshot has comes back.
    assert os.listdir(root / ".pyi" / "branches" / "other") == []
    (root / ".pyi" / "branches" / "other" / ".pyi" / "restore").write_text(snapshot)
    assert differences(picture(root / ".pyi" / "branches" / "other"), before) == []
