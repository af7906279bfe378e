"""The words of `mount -o`."""

import pytest

from pyi_fs.cli import mount_flags
from pyi_fs.cli.mount_flags import MountWords, check_flags, parsed_words, remount, set_flags
from pyi_fs.errors import InvalidArgumentError

REMOUNT, BIND, RELATIME = 32, 4096, 1 << 21


@pytest.fixture
def calls(monkeypatch):
    """Returns the flags that mount(2) would have been called with."""
    found: list[int] = []
    monkeypatch.setattr(mount_flags, "_mount", lambda path, flags: found.append(flags))
    return found


def test_words_go_to_the_kernel_to_pyi_mount_or_nowhere():
    found = parsed_words(
        "rw,noexec,branch=dev,allow_other,_netdev,nofail,x-systemd.automount,sync_interval=5s,defaults"
    )
    assert found == MountWords(
        ["--branch=dev", "--allow-other", "--sync-interval=5s"], ["noexec"], False, False
    )


def test_options_of_pyi_mount_may_be_written_as_pyi_mount_has_them():
    assert parsed_words("snapshot-every=1s,must-exist,allow-other") == MountWords(
        ["--snapshot-every=1s", "--must-exist", "--allow-other"]
    )


def test_the_last_of_ro_and_rw_counts():
    assert parsed_words("ro").read_only
    assert not parsed_words("ro,rw").read_only
    assert parsed_words("remount,ro").is_remount
    assert parsed_words("") == MountWords()


@pytest.mark.parametrize("word", ["frob", "branch", "sync", "uid=1000", "over=1", "no-exec"])
def test_unknown_words_are_refused_by_name(word):
    with pytest.raises(InvalidArgumentError, match=f"'{word}' .*: allow_other, branch=, "):
        parsed_words(f"ro,{word}")
    assert parsed_words(word, sloppy=True) == MountWords()


def test_only_flags_reach_mount():
    check_flags(("noexec", "dev"))
    with pytest.raises(InvalidArgumentError, match="allow_other"):
        check_flags(("allow_other",))


def test_fresh_flags_are_added_to_what_a_mount_has(calls):
    set_flags("/m", ("noexec",))
    set_flags("/m", ("dev", "suid", "noatime"))
    assert calls == [REMOUNT | BIND | RELATIME | 2 | 4 | 8, REMOUNT | BIND | 1024]


def test_a_remount_sets_what_is_named_and_nothing_else(calls):
    remount("/m", parsed_words("remount,ro,noexec,nosuid,relatime"))
    remount("/m", parsed_words("remount,rw,nosuid,relatime"))
    assert calls == [REMOUNT | 1 | 2 | 8 | RELATIME, REMOUNT | 2 | RELATIME]
