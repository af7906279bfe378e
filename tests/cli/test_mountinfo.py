"""Lines of mountinfo, and which mount a path is on."""

import os

import pytest

from pyi_fs.cli import mountinfo
from pyi_fs.cli.mountinfo import absolute, is_below, mount_at, mount_of, parsed
from pyi_fs.errors import NotFoundError

LINE = (
    r"42 27 0:45 / /mnt/with\040space\134 rw,nosuid,relatime shared:1 master:2 - "
    r"fuse.pyi /a\040store\043ws rw,user_id=0"
)
TABLE = r"""22 1 8:1 / / rw - ext4 /dev/root rw
30 22 0:40 / /mnt rw - tmpfs tmpfs rw
41 30 0:41 / /mnt/a rw - fuse.pyi /s\043one rw
25 41 0:42 / /mnt/a ro - fuse.pyi /s\043two rw
50 22 0:43 / /mnt/ab rw - tmpfs tmpfs rw
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    monkeypatch.setattr(mountinfo, "_MOUNTINFO", path)
    return path


def test_a_line_is_taken_apart_and_unescaped():
    mount = parsed(LINE)
    assert mount.mountpoint == "/mnt/with space\\"
    assert (mount.type, mount.source) == ("fuse.pyi", "/a store#ws")
    assert mount.options == ("rw", "nosuid", "relatime")
    assert mount.super_options == ("rw", "user_id=0")
    assert (mount.number, mount.parent, mount.device) == (42, 27, "0:45")


def test_names_that_are_no_text_survive():
    assert os.fsencode(parsed(LINE.replace("space", r"\377")).mountpoint) == b"/mnt/with \xff\\"


def test_only_a_newline_ends_a_line(table):
    """The kernel escapes no other one in a path, and anybody may mount who has fusermount3."""
    name = "/mnt/\r \v \f \x1c \x85 \u2028".replace(" ", "x")
    with table.open("ab") as lines:
        lines.write(f"60 22 0:50 / {name} rw - fuse.other it rw\n".encode())
        lines.write(b"61 22 0:51 / /mnt/z rw - tmpfs tmpfs rw\n")
    assert [mount_at(path) is not None for path in (name, "/mnt/z")] == [True, True]


def test_the_topmost_mount_counts(table):
    mount = mount_at("/mnt/a")
    assert mount is not None
    assert mount.source == "/s#two"
    assert mount_at("/mnt/b") is None


def test_a_path_is_on_the_mount_with_the_longest_name(table):
    places = [mount_of(path) for path in ("/mnt/a/x", "/mnt/abc", "/mnt/ab", "/etc")]
    assert [mount and mount.mountpoint for mount in places] == ["/mnt/a", "/mnt", "/mnt/ab", "/"]


def test_below_means_by_whole_names():
    assert is_below("/a/b", "/a")
    assert is_below("/a", "/a")
    assert is_below("/a", "/")
    assert not is_below("/ab", "/a")


def test_the_links_on_the_way_to_a_mountpoint_are_resolved(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "m").symlink_to("elsewhere")
    assert absolute(tmp_path / "link" / ".." / "link" / "m") == str(tmp_path / "real/elsewhere")
    assert absolute("/") == "/"


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("real/m", "real/m"),
        ("real/m/", "real/m"),
        ("./link/../real/m", "real/m"),
        ("again", "real/m"),
        ("real/m/..", "real"),
        ("/", "/"),
        ("loop", "loop"),
    ],
)
def test_a_link_to_a_mountpoint_is_that_mountpoint(tmp_path, target, found):
    """umount(8) takes it for that as well."""
    (tmp_path / "real" / "m").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "again").symlink_to(tmp_path / "link" / "m")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "here").symlink_to(target)
    assert absolute(tmp_path / "here") == str(tmp_path / found)


def test_a_current_directory_that_is_gone_is_said(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(NotFoundError, match="current directory is gone"):
        absolute(".")


def test_this_process_sees_the_root():
    mount = mount_of("/")
    assert mount is not None
    assert mount.mountpoint == "/"
