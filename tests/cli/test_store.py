"""`pyi-store`: what it lists, and what it refuses to remove."""

import json
import random
import re
import stat

import pytest

from pyi_fs.cli import workspaces
from pyi_fs.cli.live_mounts import announcement
from pyi_fs.cli.log_file import log_directory
from pyi_fs.cli.store import command
from pyi_fs.engine.store import Store
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support.commands import Done, call, run
from tests.support.engine_rig import noise, opened
from tests.support.plain_rig import materialised, sealed


@pytest.fixture
def two(store):
    workspaces.make_empty(store, "a")
    workspaces.fork(store, "a", "b")
    return store


def pyi_store(*arguments: object) -> Done:
    return call(command, *arguments, name="pyi-store")


def test_a_store_that_is_not_there_lists_nothing_and_is_not_made(store):
    assert pyi_store("ls") == Done(0, "", "")
    assert not store.exists()


@pytest.mark.parametrize(
    "words", [["ls"], ["info", "a"], ["rm", "a", "--yes"], ["purge", "a", "x", "--dry-run"]]
)
def test_the_store_may_be_named_behind_the_subcommand(two, tmp_path, words, monkeypatch):
    monkeypatch.setenv("PYI_STORE", str(tmp_path / "other"))
    named = pyi_store(words[0], "--store", two, *words[1:])
    assert "no workspace" in pyi_store("--store", tmp_path / "other", "info", "a").errors
    monkeypatch.setenv("PYI_STORE", str(two))
    if words[0] == "rm":
        assert (named.code, workspaces.names(two)) == (0, ["b"])
    else:
        assert named == pyi_store(*words)


def test_ls_gives_a_line_of_fields_for_each(two):
    lines = [line.split("\t") for line in pyi_store("ls").output.splitlines()]
    assert [(fields[0], fields[1], fields[2], fields[7]) for fields in lines] == [
        ("a", "1", "0", ""),
        ("b", "1", "0", ""),
    ]
    assert all(field.isdecimal() for fields in lines for field in fields[4:7])
    quick = pyi_store("ls", "--no-sizes").output.splitlines()
    assert [line.split("\t")[4:7] for line in quick] == [["", "", ""]] * 2


def test_ls_and_info_as_json(two):
    assert [facts["name"] for facts in json.loads(pyi_store("ls", "--json").output)] == ["a", "b"]
    facts = json.loads(pyi_store("info", "b", "--json").output)
    assert facts["source"] == "a"
    assert [branch["name"] for branch in facts["branches"]] == ["main"]


def test_info_says_what_each_line_is(two):
    lines = [line.split("\t") for line in pyi_store("info", "b").output.splitlines()]
    assert [fields[:2] for fields in lines] == [["workspace", "b"], ["branch", "main"]]


def test_a_missing_workspace_is_named_with_those_there_are(two):
    for subcommand in (["info"], ["rm", "--yes"]):
        done = pyi_store(*subcommand, "x")
        assert (done.code, done.errors) == (1, "pyi-store: no workspace 'x' (you have: a, b)\n")


def test_a_workspace_whose_log_is_lost_is_shown_refused_and_removed(two, tmp_path):
    """It was not listed, and a mount of that name began anew."""
    (two / "workspaces" / "a" / "log").unlink()
    listed = pyi_store("ls")
    assert [line.split("\t")[0::7] for line in listed.output.splitlines()] == [
        ["a", "damaged"],
        ["b", ""],
    ]
    assert "'a' is damaged, `pyi-fsck` says more: workspaces/a/log: " in listed.errors
    assert json.loads(pyi_store("ls", "--json").output)[0]["damage"].startswith("workspaces/a/log")
    done = pyi_store("info", "a")
    assert done.code == 1
    assert "`pyi-store rm a` removes it" in done.errors
    assert pyi_store("info", "b").code == 0
    (tmp_path / "mnt").mkdir()
    mounted = run("mount", "a", tmp_path / "mnt")
    assert mounted.code != 0
    assert "workspaces/a/log: wrong bytes at offset 0" in mounted.errors
    assert pyi_store("rm", "a", "--yes").code == 0
    assert workspaces.names(two) == ["b"]


def test_rm_removes_with_yes(two):
    log_directory(two, "a").mkdir(parents=True)
    done = pyi_store("rm", "a", "--yes")
    assert done.code == 0
    assert "removed 'a'" in done.errors
    assert workspaces.names(two) == ["b"]
    assert not log_directory(two, "a").exists()
    assert pyi_store("ls").output.split("\t")[0] == "b"


@pytest.mark.parametrize("is_sealed", [False, True])
def test_rm_gives_back_what_it_said_it_would(two, tmp_path, is_sealed):
    """At once what is its own; what is in packs, which workspaces share, with a collection."""
    if is_sealed:
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "f").write_bytes(random.Random(1).randbytes(300_000))
        workspaces.make_from(two, "sealed", f"{tmp_path}/source", tmp_path / "mountpoint")
    name = "sealed" if is_sealed else "a"
    (tmp_path / "answer").write_text("y\n")
    with (tmp_path / "answer").open() as file:
        done = run("store", "rm", name, stdin=file)
    asked, given, *later = re.findall(r"([0-9.]+) kB", done.errors)
    assert sum(map(float, [given, *later])) == pytest.approx(float(asked), abs=0.1)
    assert float(given) > 0
    assert bool(later) == is_sealed


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, ["b"]), ("n\n", 1, ["a", "b"])])
def test_rm_asks(two, answer, code, left, tmp_path):
    (tmp_path / "answer").write_text(answer)
    with (tmp_path / "answer").open() as file:
        done = run("store", "rm", "a", stdin=file)
    assert done.code == code
    assert "Remove 'a' with 1 branch and 0 snapshots" in done.errors
    assert workspaces.names(two) == left


def test_rm_without_an_answer_removes_nothing(two):
    done = run("store", "rm", "a")
    assert done.code == 1
    assert "--yes" in done.errors
    assert workspaces.names(two) == ["a", "b"]


def test_rm_of_a_mounted_one_names_the_mountpoint(two):
    with announcement(DirectoryStorage(two)) as announce:
        announce("a", "main", None, "/mnt/here", False)
        done = pyi_store("rm", "a", "--yes")
        assert (done.code, done.errors.count("\n")) == (1, 1)
        assert "mounted at /mnt/here" in done.errors
        assert "/mnt/here" in pyi_store("ls").output
        assert "mount\t/mnt/here\tmain" in pyi_store("info", "a").output
    assert workspaces.names(two) == ["a", "b"]


def test_a_directory_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "file").touch()
    done = pyi_store("--store", tmp_path, "ls")
    assert done.code == 1
    assert "no store" in done.errors


def test_a_store_is_private(store):
    Store.open(store).close()
    assert stat.S_IMODE(store.stat().st_mode) == 0o700


def test_without_a_command_one_is_asked_for(store):
    done = pyi_store()
    assert (done.code, done.errors) == (
        2,
        "pyi-store: Missing command. (see `pyi-store --help`)\n",
    )


def test_info_says_what_plain_files_take(two):
    with opened(two) as made:
        (inode,) = sealed(made, (b"f", noise(300_000)))
        materialised(made, inode)
    rows = [line.split("\t") for line in pyi_store("info", "a").output.splitlines()]
    (row,) = (row for row in rows if row[0] == "plain")
    assert row[1] == "1"
    assert 300_000 <= int(row[2]) < 400_000
    facts = json.loads(pyi_store("info", "a", "--json").output)
    assert facts["plain"] == {"files": 1, "size_bytes": int(row[2])}
