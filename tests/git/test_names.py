"""The names we leave out are those that git itself refuses, asked through `git update-index`."""

import stat
import subprocess

import pytest

from pyi_fs.git.export import export
from pyi_fs.git.names import has_dot_git, is_dot_git, refusal
from pyi_fs.ids import ROOT_INODE
from pyi_fs.model.inode import Inode
from tests.support.git_rig import rig_in

DOT_GIT = [
    b".git",
    b".GIT",
    b".gIt",
    b".git.",
    b".git ",
    b".git . .",
    b"git~1",
    b"GIT~1",
    b"git~1.",
    b".git::$INDEX_ALLOCATION",
    b".git:x",
    b".git\\x",
    b"x\\.git",
    b"x\\y\\git~1 ",
    ".g\u200cit".encode(),
    "\ufeff.GIT".encode(),
    ".git\u206f".encode(),
    b".git\xff",
    b".git\xc3",
    b".git\xed\xa0\x80x",
    b".git\xc0\x80",
    ".git\ufffex".encode(),
    ".git\u200c\uffff".encode(),
]
NOT_DOT_GIT = [
    b"git",
    b".gitt",
    b".gi",
    b".gitignore",
    b".gitmodules",
    b"git~2",
    b"git~11",
    b".git-",
    b".git~1",
    b"x.git",
    b"..git",
    b" .git",
    b".git\n",
    b"a\\b",
    b"\\",
    ".g\u200bit".encode(),
    b".gi\xfft",
    ".git\ufdd0".encode(),
    ".git\u00e9".encode(),
]
MODULES = [
    b".gitmodules",
    b".GITMODULES",
    b".gitmodules .",
    b".gitmodules:x",
    b"gitmod~1",
    b"GITMOD~4 ",
    b"gi7eba~1",
    b"GI7EBA~9",
    b"gi7e~123",
    b"~1000000",
    ".gitm\u200codules".encode(),
    b".gitmodules\xff",
]
ATTRIBUTES = [b".gitattributes", b".GitAttributes:x", b"gitatt~1", b"gi7d29~1", b".gitattributes "]
NOT_MODULES = [
    b".gitmodulesx",
    b"gitmod~5",
    b"gi7eba~0",
    b"gi7eba~10",
    b"gi7eb~1",
    b"gi7ebb~1",
    b"i7eba~12",
    b"gitmodules",
    b"~1",
]


def made(mode):
    return Inode(mode, 1, 0, 0, 0, 0, 0, 0, 0, ROOT_INODE, b"x")


def refused_by_git(directory, names, mode):
    """Returns those of the names that git does not take into an index."""
    git = ["git", "-c", "core.protectHFS=true", "-c", "core.protectNTFS=true", "-C", directory]
    subprocess.run([*git, "init", "-q"], check=True, capture_output=True)
    blob = subprocess.run(
        [*git, "hash-object", "-w", "--stdin"], input=b"", check=True, capture_output=True
    ).stdout.strip()
    refused = []
    for name in names:
        entry = mode + b"," + blob + b"," + name
        command = [*git, "update-index", "--add", "--cacheinfo", entry]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            refused.append(name)
    return refused


@pytest.mark.slow
def test_git_refuses_what_we_take_for_dot_git_and_nothing_else(tmp_path):
    assert refused_by_git(tmp_path, DOT_GIT + NOT_DOT_GIT, b"100644") == DOT_GIT
    assert [name for name in DOT_GIT + NOT_DOT_GIT if is_dot_git(name)] == DOT_GIT


@pytest.mark.slow
def test_git_refuses_the_symlinks_that_we_refuse_as_gitmodules(tmp_path):
    assert refused_by_git(tmp_path, MODULES + NOT_MODULES, b"120000") == MODULES
    link = made(stat.S_IFLNK | 0o777)
    assert [name for name in MODULES + NOT_MODULES if refusal(name, link)] == MODULES


def test_gitmodules_may_be_a_file():
    assert refusal(b".gitmodules", made(stat.S_IFREG | 0o644)) is None
    assert refusal(b".gitmodules", made(stat.S_IFDIR | 0o755)) is not None


def test_only_a_directory_may_not_be_called_gitattributes():
    for name in (b".gitattributes", b"gitatt~1", b"gi7d29~1"):
        assert refusal(name, made(stat.S_IFDIR | 0o755)) is not None
        assert refusal(name, made(stat.S_IFREG | 0o644)) is None
        assert refusal(name, made(stat.S_IFLNK | 0o777)) is None
    assert refusal(b"gi7eba~1", made(stat.S_IFREG | 0o644)) is None


def test_a_path_is_judged_by_its_components():
    assert has_dot_git(b"a/.GIT/b")
    assert not has_dot_git(b"a.git/b")


@pytest.mark.slow
def test_a_tree_of_all_these_names_is_sound_to_git_and_checked_out(tmp_path):
    """As files, directories and links, at the top and below, for every system git knows of."""
    (tmp_path / ".gitconfig").write_text("[core]\n\tprotectHFS = true\n\tprotectNTFS = true\n")
    with rig_in(tmp_path) as rig:
        for index, name in enumerate(DOT_GIT + NOT_DOT_GIT + MODULES + NOT_MODULES + ATTRIBUTES):
            rig.write(b"file-%d/" % index + name, b"")
            rig.write(b"directory-%d/" % index + name + b"/hooks/x", b"x")
            rig.make(b"link-%d/" % index + name, stat.S_IFLNK | 0o777, target=b"../../..")
        for index, name in enumerate(DOT_GIT):
            if index % 2:
                rig.write(name + b"/config", b"x")
            else:
                rig.write(name, b"x")
        rig.snapshot("all")
        report = export(rig.workspace, rig.repo, environment=rig.environment)
        # A note, as documented: such links are exported.
        assert [x for x in rig.fsck().splitlines() if not x.endswith(" is a symlink")] == []
        picture = rig.committed("pyi/ws")
        assert rig.checked_out(rig.ids()[0]) == picture
        counts = report.left_out.counts
        # `.gitmodules` itself is in two lists.
        modules = len(MODULES) + 1
        assert counts == {
            "names that git takes for .git": 4 * len(DOT_GIT),
            "things called .gitmodules that are no file": 2 * modules,
            "directories called .gitattributes": len(ATTRIBUTES),
        }
        others = len(NOT_DOT_GIT) - 1 + len(NOT_MODULES)
        assert len(picture) == 3 * others + modules + 2 * len(ATTRIBUTES)
