"""Where no store may be."""

from pathlib import Path

from pyi_fs.cli.mountinfo import FILESYSTEM_TYPE
from pyi_fs.cli.refused_filesystems import NO_STORE_ON

LOCAL = {"ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "ext3", "gfs2", "fuseblk"}


def test_local_disks_and_only_those_are_taken():
    assert not LOCAL & NO_STORE_ON.keys()
    named = {"nfs", "nfs4", "cifs", "smb3", "lustre", "overlay", "ceph", "9p", FILESYSTEM_TYPE}
    assert named <= NO_STORE_ON.keys()


def test_the_document_names_them_all():
    """By what they are called, not by each of their types."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text()
    assert [name for name in sorted(set(NO_STORE_ON.values())) if name not in text] == []
