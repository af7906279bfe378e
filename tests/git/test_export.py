"""Commits are their snapshots: any tree, taken in any way, exported at once or in steps."""

import stat

import pytest

from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import (
    AlreadyExistsError,
    BusyError,
    InvalidArgumentError,
    MissingChunkError,
    NotFoundError,
)
from pyi_fs.git import changes
from pyi_fs.git.export import Options, Progress, export, message_of
from pyi_fs.ids import BranchName, LayerId, Position, SnapshotId, WorkspaceName
from pyi_fs.model.refs import Snapshot
from tests.support.git_rig import RandomChanges, rig_in

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(tmp_path):
    with rig_in(tmp_path) as rig:
        yield rig


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("is_stepwise", [False, True])
def test_every_commit_of_random_trees_is_its_snapshot(rig, seed, is_stepwise, monkeypatch):
    # Small files are moved as large ones are, so that all of that is met.
    monkeypatch.setattr(changes, "REUSED_BYTES_MIN", 50)
    random = RandomChanges(rig, seed)
    random.grow(60)
    snapshots: list[Snapshot] = []
    for index in range(8):
        for _ in range(random.random.choice([1, 1, 2, 5, 40])):
            random.step()
        if snapshots and random.random.random() < 0.3:
            rig.workspace.restore(rig.branch, random.random.choice(snapshots).id)
            random.step()
        snapshots.append(rig.snapshot(f"s{index}"))
        if is_stepwise:
            export(rig.workspace, rig.repo, environment=rig.environment)
    export(rig.workspace, rig.repo, environment=rig.environment)
    assert rig.fsck() == ""
    by_id = rig.workspace.refs.snapshots
    for commit, snapshot_id in zip(rig.ids(), rig.trailers(), strict=True):
        tree = rig.workspace.snapshot_tree(by_id[snapshot_id])
        assert rig.committed(commit) == rig.expected(tree), snapshot_id
    assert rig.checked_out(rig.ids()[-1]) == rig.committed(rig.ids()[-1])
    assert rig.trailers()[-1] == snapshots[-1].id


def run(rig, **options):
    """Exports with these options."""
    return export(rig.workspace, rig.repo, Options(**options), environment=rig.environment)


def take(rig, name=None, **more):
    """Changes something and takes a snapshot."""
    rig.write(b"count", b"%d" % rig.now())
    return rig.snapshot(name, **more)


def subjects(rig, ref="pyi/ws"):
    return rig.git("log", "--reverse", "--format=%s", ref).decode().splitlines()


def test_a_commit_says_who_when_and_which(rig):
    run(rig)
    rig.git("config", "user.name", "Ann")
    rig.git("config", "user.email", "ann@example.org")
    snapshot = take(rig, "first", message="Why it was.\n\nPyi-Snapshot: 9-fake\n\n")
    unnamed = take(rig)
    report = run(rig)
    seconds = snapshot.time_ns // 10**9
    raw = rig.git("cat-file", "commit", "pyi/ws~1").decode()
    assert f"author Ann <ann@example.org> {seconds} +0000\n" in raw
    assert f"committer Ann <ann@example.org> {seconds} +0000\n" in raw
    assert raw.endswith(
        f"\n\nfirst\n\nWhy it was.\n\nPyi-Snapshot: 9-fake\n\nPyi-Snapshot: {snapshot.id}\n"
    )
    assert rig.trailers() == [snapshot.id, unnamed.id] == report.snapshots
    assert subjects(rig) == ["first", f"Snapshot {unnamed.id}"]
    assert report.tip == rig.ids()[-1]


def test_running_it_again_adds_what_is_new(rig):
    assert run(rig).tip == ""
    take(rig, "one")
    assert len(run(rig).snapshots) == 1
    assert run(rig).snapshots == []
    take(rig, "two")
    take(rig, "three")
    report = run(rig)
    assert (len(report.snapshots), report.files) == (2, 2)
    assert subjects(rig) == ["one", "two", "three"]


def test_automatic_snapshots_are_part_of_the_next(rig):
    take(rig, "one")
    automatic = take(rig, automatic="before restore of 1")
    rig.write(b"more", b"x")
    take(rig, "two")
    run(rig)
    assert subjects(rig) == ["one", "two"]
    assert b"more" in rig.committed("pyi/ws")
    run(rig, automatic=True, git_branch="all")
    reason = "(before restore of 1)"
    assert subjects(rig, "all") == ["one", f"Snapshot {automatic.id} {reason}", "two"]


def test_last_and_named_only(rig):
    take(rig, "one")
    take(rig)
    take(rig, "three")
    last = take(rig)
    run(rig, named_only=True, git_branch="named")
    assert subjects(rig, "named") == ["one", "three"]
    run(rig, last=True, git_branch="last")
    assert rig.trailers("last") == [last.id]
    newest = take(rig)
    run(rig, last=True, git_branch="last")
    assert rig.trailers("last") == [last.id, newest.id]
    with pytest.raises(InvalidArgumentError, match="cannot be used together"):
        run(rig, last=True, named_only=True)


def test_after_a_restore_it_goes_on_from_the_tip(rig):
    take(rig, "one")
    take(rig, "two")
    run(rig)
    rig.workspace.restore(rig.branch, "one")
    assert run(rig).snapshots == []
    rig.write(b"other", b"x")
    three = rig.snapshot("three")
    run(rig)
    assert subjects(rig) == ["one", "two", "three"]
    assert rig.committed("pyi/ws") == rig.expected(rig.workspace.snapshot_tree(three))


def test_a_deleted_snapshot_at_the_tip_is_gone_on_from(rig):
    rig.write(b"same", b"x" * 100)
    take(rig, "one")
    run(rig)
    rig.workspace.delete_snapshot("one")
    take(rig, "two")
    assert run(rig).files == 1
    assert set(rig.committed("pyi/ws")) == {b"same", b"count"}


def test_other_branches_go_to_branches_of_their_own(rig):
    take(rig, "one")
    rig.workspace.make_branch("side", rig.branch)
    run(rig)
    assert run(rig, branch="side").git_branch == "pyi/ws+side"
    assert rig.ids("pyi/ws+side") == rig.ids("pyi/ws")
    with pytest.raises(NotFoundError, match="no branch 'nope'"):
        run(rig, branch="nope")


def test_a_checked_out_branch_is_refused_and_nothing_of_the_work_tree_is_touched(rig):
    take(rig, "one")
    run(rig)
    rig.git("checkout", "-q", "pyi/ws")
    (rig.repo / "count").write_text("mine")
    index = (rig.repo / ".git" / "index").read_bytes()
    take(rig, "two")
    with pytest.raises(BusyError, match="'pyi/ws' is checked out in "):
        run(rig)
    assert subjects(rig) == ["one"]
    run(rig, git_branch="other")
    assert subjects(rig, "other") == ["one", "two"]
    assert (rig.repo / "count").read_text() == "mine"
    assert (rig.repo / ".git" / "index").read_bytes() == index


def test_the_unborn_branch_of_a_new_repository_is_checked_out_too(rig):
    take(rig, "one")
    run(rig, git_branch="a")
    head = rig.git("symbolic-ref", "--short", "HEAD").decode().strip()
    with pytest.raises(BusyError, match="is checked out"):
        run(rig, git_branch=head)


def commit_by_hand(rig, ref, *, parent=None):
    """Puts a commit of somebody else on a branch."""
    tree = rig.git("mktree", data=b"").decode().strip()
    who = ["-c", "user.name=a", "-c", "user.email=b"]
    above = ["-p", parent] if parent else []
    made = rig.git(*who, "commit-tree", tree, "-m", "by hand", *above).decode().strip()
    rig.git("update-ref", f"refs/heads/{ref}", made)
    return made


def test_a_tip_of_somebody_else_is_refused_unless_told_where_to_go_on(rig):
    one = take(rig, "one")
    run(rig)
    commit_by_hand(rig, "pyi/ws", parent="pyi/ws")
    two = take(rig, "two")
    with pytest.raises(AlreadyExistsError, match="is not a snapshot of 'ws'"):
        run(rig)
    run(rig, onto="pyi/ws")
    assert subjects(rig) == ["one", "by hand", "two"]
    assert rig.trailers() == [one.id, two.id]
    assert rig.committed("pyi/ws") == rig.expected(rig.workspace.snapshot_tree(two))


def test_an_amended_tip_is_somebody_elses(rig):
    take(rig, "one")
    run(rig)
    rig.git("checkout", "-q", "--detach", "pyi/ws")
    who = ["-c", "user.name=a", "-c", "user.email=b"]
    rig.git("rm", "-q", "--cached", "count")
    rig.environment["GIT_COMMITTER_DATE"] = "1234567890 +0000"
    rig.git(*who, "commit", "-q", "--amend", "--no-edit", "--allow-empty")
    rig.git("update-ref", "refs/heads/pyi/ws", "HEAD")
    with pytest.raises(AlreadyExistsError, match="is not a snapshot of 'ws'"):
        run(rig)


def test_the_first_commit_goes_onto_a_revision_and_later_runs_go_on(rig):
    run(rig)
    base = commit_by_hand(rig, "upstream")
    one = take(rig, "one")
    run(rig, onto="upstream")
    assert rig.ids()[0] == base
    take(rig, "two")
    commit_by_hand(rig, "upstream", parent="upstream")
    run(rig, onto="upstream")
    assert subjects(rig) == ["by hand", "one", "two"]
    assert rig.committed("pyi/ws~1") == rig.expected(rig.workspace.snapshot_tree(one))
    for git_branch in ("x", "", "pyi/ws"):
        # Also where the branch is there already, and would go on without it.
        with pytest.raises(NotFoundError, match="no commit 'nope'"):
            run(rig, onto="nope", git_branch=git_branch)
    assert subjects(rig) == ["by hand", "one", "two"]


def test_commits_that_the_revision_has_not_are_never_lost(rig):
    take(rig, "one")
    run(rig)
    commit_by_hand(rig, "mine")
    commit_by_hand(rig, "theirs")
    rig.git("update-ref", "refs/heads/theirs", "pyi/ws")
    with pytest.raises(AlreadyExistsError, match="'mine' has commits that 'theirs' does not"):
        run(rig, git_branch="mine", onto="theirs")
    assert subjects(rig, "mine") == ["by hand"]


def test_what_git_cannot_hold_is_counted_and_fsck_is_clean(rig):
    rig.write(b".git/config", b"x")
    rig.write(b"sub/.Git. /hooks/x", b"x")
    rig.write(b"a\\.git", b"x")
    rig.make(b".gitmodules", stat.S_IFLNK | 0o777, target=b"x")
    rig.write(b"sub/.gitmodules/x", b"x")
    rig.write(b"sub/.gitattributes/x", b"x")
    rig.make(b"pipe", stat.S_IFIFO | 0o644)
    rig.make(b"empty", stat.S_IFDIR | 0o755)
    rig.write(b"sub/run", b"#!", 0o755)
    rig.link(b"sub/run", b"copy")
    rig.snapshot("one")
    report = run(rig)
    assert rig.fsck() == ""
    assert rig.checked_out(rig.ids()[0]) == {
        b"sub/run": (b"100755", b"#!"),
        b"copy": (b"100755", b"#!"),
    }
    assert report.left_out.counts == {
        "names that git takes for .git": 3,
        "things called .gitmodules that are no file": 2,
        "directories called .gitattributes": 1,
        "FIFOs": 1,
        "empty directories": 1,
    }


def test_a_touched_file_below_a_refused_directory_stays_out(rig):
    rig.write(b".gitattributes/x", b"x")
    take(rig, "one")
    run(rig)
    rig.write(b".gitattributes/x", b"y")
    take(rig, "two")
    run(rig)
    assert set(rig.committed("pyi/ws")) == {b"count"}


def test_a_file_larger_than_git_holds_in_memory_goes_in_pieces(rig):
    number = rig.make(b"large", stat.S_IFREG | 0o644)
    size = 40 << 20
    rig.set(number, size=size)
    rig.branch.write(number, size - 3, b"end", 1)
    rig.snapshot("one")
    told: list[Progress] = []
    report = export(rig.workspace, rig.repo, environment=rig.environment, progress=told.append)
    assert report.file_bytes == size
    assert rig.committed("pyi/ws")[b"large"][1] == bytes(size - 3) + b"end"
    assert told == sorted(told)
    assert told[-1] == Progress(1, 1, 1, size, b"large", size, size)


def test_a_store_that_fails_leaves_the_branch_where_it_was(rig, monkeypatch):
    take(rig, "one")
    run(rig)
    before = rig.ids()
    take(rig, "two")
    broken = MissingChunkError(b"x")

    def fail(*_):
        raise broken

    monkeypatch.setattr(rig.workspace.reader, "read", fail)
    with pytest.raises(MissingChunkError):
        run(rig)
    assert rig.ids() == before
    monkeypatch.undo()
    run(rig)
    assert subjects(rig) == ["one", "two"]


def test_a_fork_does_not_take_the_commits_of_its_parent_for_its_own(rig):
    take(rig, "one")
    run(rig)
    fork_workspace(rig.store, "ws", None, "fork")
    fork = Workspace(rig.store, WorkspaceName("fork"))
    branch = fork.open_branch("main")
    fork.snapshot(branch, name="in-fork")
    with pytest.raises(AlreadyExistsError, match="is not a snapshot of 'fork'"):
        export(fork, rig.repo, Options(git_branch="pyi/ws"), environment=rig.environment)
    export(fork, rig.repo, Options(onto="pyi/ws"), environment=rig.environment)
    fork.close()
    assert subjects(rig, "pyi/fork") == ["one", "in-fork"]
    assert rig.committed("pyi/fork") == rig.committed("pyi/ws")


def test_messages_hold_what_git_takes():
    snapshot = Snapshot(
        SnapshotId("1-a"),
        BranchName("main"),
        Position(LayerId(1), 0),
        1,
        0,
        0,
        0,
        None,
        "n",
        "",
        "",
    )
    assert message_of(snapshot) == "n\n\nPyi-Snapshot: 1-a\n"
    message = message_of(snapshot._replace(message="a\0b\n\n"), ignoring=True)
    assert message == "n\n\nab\n\nPyi-Snapshot: 1-a\nPyi-Left-Out: .gitignore\n"
