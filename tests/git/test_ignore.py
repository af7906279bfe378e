"""`--respect-gitignore` leaves out what `git add` would not add, commit by commit."""

import os
import stat
import subprocess
import tempfile
from contextlib import suppress

import pytest

from pyi_fs.errors import RequestError
from pyi_fs.git.export import Options, export
from tests.support.git_rig import RandomChanges, rig_in

RULES = [b"*.o\n", b"a\n", b"/b\n", b"!a\n", b"c/\n", b"*\n!*.o\n", b"", b"a/b\n", b"d*\n!*/\n"]


@pytest.fixture
def rig(tmp_path):
    with rig_in(tmp_path) as rig:
        yield rig


def run(rig, **options):
    """Exports, respecting .gitignore."""
    chosen = Options(respect_gitignore=True, **options)
    return export(rig.workspace, rig.repo, chosen, environment=rig.environment)


def added_by_git(rig, tree, place):
    """Returns the paths that `git add` adds when a tree is a work tree."""
    place.mkdir()
    for path, (mode, data) in rig.expected(tree).items():
        file = os.path.join(os.fsencode(place), path)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        if mode == b"120000":
            os.symlink(data, file)
        else:
            with open(file, "wb") as stream:
                stream.write(data)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(
            ["git", "-C", str(place), *command],
            env=rig.environment,
            check=True,
            capture_output=True,
        )
    listed = subprocess.run(
        ["git", "-C", str(place), "ls-files", "-z"],
        env=rig.environment,
        check=True,
        capture_output=True,
    )
    return set(listed.stdout.split(b"\0")[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_random_trees_and_rules_give_what_git_add_adds(rig, seed, tmp_path):
    changes = RandomChanges(rig, seed)
    changes.grow(40)
    for index in range(5):
        for _ in range(changes.random.choice([1, 3, 15])):
            changes.step()
            if changes.random.random() < 0.3:
                above = changes.random.choice([b"", b"a/", b"b/", b"a/c/"])
                with suppress(RequestError):
                    rig.write(above + b".gitignore", changes.random.choice(RULES))
        rig.snapshot(f"s{index}")
        run(rig)
    for index, (commit, snapshot_id) in enumerate(zip(rig.ids(), rig.trailers(), strict=True)):
        tree = rig.workspace.snapshot_tree(rig.workspace.refs.snapshots[snapshot_id])
        kept = added_by_git(rig, tree, tmp_path / f"tree{index}")
        everything = rig.expected(tree)
        assert rig.committed(commit) == {path: everything[path] for path in kept}
    assert rig.fsck() == ""


def test_changed_rules_reach_files_that_nobody_touched(rig):
    rig.write(b"sub/keep", b"1")
    rig.write(b"sub/build/out", b"2")
    rig.snapshot("one")
    run(rig)
    rig.write(b"sub/.gitignore", b"build/\n")
    rig.snapshot("two")
    report = run(rig)
    assert report.left_out.paths == {"files that .gitignore names": [b"sub/build/out"]}
    rig.remove(b"sub/.gitignore")
    rig.snapshot("three")
    run(rig)
    paths = [set(rig.committed(commit)) for commit in rig.ids()]
    assert paths == [
        {b"sub/keep", b"sub/build/out"},
        {b"sub/keep", b"sub/.gitignore"},
        {b"sub/keep", b"sub/build/out"},
    ]


def test_turning_it_on_or_off_makes_the_next_commit_whole(rig):
    rig.write(b".gitignore", b"*.o\n")
    rig.write(b"a.o", b"1")
    rig.snapshot("one")
    export(rig.workspace, rig.repo, environment=rig.environment)
    for name in ("two", "three"):
        rig.write(b"f", name.encode())
        rig.snapshot(name)
        run(rig) if name == "two" else export(rig.workspace, rig.repo, environment=rig.environment)
    assert [b"a.o" in rig.committed(commit) for commit in rig.ids()] == [True, False, True]


def test_only_the_trees_own_rules_count(rig):
    (rig.directory / ".config" / "git").mkdir(parents=True)
    (rig.directory / ".config" / "git" / "ignore").write_text("a\n")
    rig.write(b"a", b"1")
    rig.write(b":(magic)b", b"2")
    rig.make(b".gitignore", stat.S_IFLNK | 0o777, target=b"rules")
    rig.write(b"rules", b"a\n")
    rig.snapshot("one")
    assert run(rig).left_out.counts == {}
    assert set(rig.committed("pyi/ws")) == {b"a", b":(magic)b", b".gitignore", b"rules"}


def test_no_temporary_directory_stays(rig, monkeypatch):
    place = rig.directory / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    rig.write(b"x/.gitignore", b"*\n")
    rig.snapshot("one")
    run(rig)
    assert list(place.iterdir()) == []
