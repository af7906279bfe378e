"""`pyi-mount` run by a user who is not root: what works, and how what may not be done is told."""

import os
import shlex
import shutil
import tempfile
from pathlib import Path

import pytest

from pyi_fs.cli.mountinfo import mount_at
from tests.support.commands import Done, program, run_command

pytestmark = [pytest.mark.mount, pytest.mark.slow]

AS_A_USER = """
mknod $D/fuse c 10 229 && chmod 666 $D/fuse && mount --bind $D/fuse /dev/fuse
u() { setpriv --reuid=65534 --regid=65534 --clear-groups \\
    --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search "$@"; }
pyi_mount() { u env PYI_STORE=$D/store "$@"; echo "code $?"; }
"""
"""Makes `u` run what follows as a user: one who may read everything, since the interpreter may lie
where only root looks, but may write and mount only what users may."""


@pytest.fixture
def user_shell():
    """Returns `user_shell(SCRIPT)`: `u COMMAND` runs as another user, `pyi_mount ...` the program.

    `$D` belongs to that user. What is mounted ends with a namespace of its own.
    """
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        os.chown(directory, 65534, 65534)
        (directory / "mnt").mkdir()
        os.chown(directory / "mnt", 65534, 65534)
        words = " ".join(shlex.quote(word) for word in program("mount"))
        prologue = f"D={name}\n" + AS_A_USER.replace('"$@"; echo', f'{words} "$@"; echo')

        def run_script(script: str) -> Done:
            return run_command(["unshare", "--mount", "sh", "-c", prologue + script])

        yield run_script


def test_a_user_mounts_and_unmounts(user_shell):
    done = user_shell(
        "pyi_mount ws $D/mnt\n"
        "u sh -c 'echo hello > $0/f; cat $0/f; stat -c %u $0/f' $D/mnt\n"
        "u findmnt -no SOURCE,OPTIONS $D/mnt\n"
        "pyi_mount --unmount $D/mnt; ls $D/mnt; stat -c '%u %a' $D/store\n"
    )
    first, hello, owner, source, second, store = done.output.splitlines()
    assert (first, hello, owner, second) == ("code 0", "hello", "65534", "code 0"), done.errors
    assert store == "65534 700"
    assert "store#ws" in source
    assert "nosuid,nodev" in source


def test_what_a_user_may_not_is_one_line(user_shell, store, mount, tmp_path):
    """To mount for others, in somebody else's store, and to end somebody else's mount."""
    if "\nuser_allow_other" in Path("/etc/fuse.conf").read_text():
        pytest.skip("users may mount for others here")
    mount("theirs")
    done = user_shell(
        "pyi_mount --allow-other ws $D/mnt\n"
        f"pyi_mount --store={store} ws $D/mnt\n"
        f"pyi_mount --unmount {tmp_path}/mnt\n"
        "ls -A $D/mnt $D/store\n"
    )
    assert done.output.split("code ")[1:3] == ["1\n", "1\n"]
    assert [line.partition(":")[0] for line in done.errors.splitlines()][:3] == ["pyi-mount"] * 3
    shared, foreign, ending = done.errors.splitlines()[:3]
    assert "user_allow_other" in shared
    assert "may not be written by this user" in foreign
    assert f"{tmp_path}/mnt" in ending
    assert mount_at(f"{tmp_path}/mnt") is not None


def test_a_user_clears_a_dead_mount_away(user_shell):
    done = user_shell(
        "pyi_mount ws $D/mnt\n"
        "u sh -c 'echo kept > $0/f' $D/mnt\n"
        "kill -9 $(sed 's/.*\"pid\": \\([0-9]*\\).*/\\1/' $D/store/mounts/*)\n"
        "pyi_mount ws $D/mnt\n"
        "u cat $D/mnt/f\n"
        "pyi_mount --unmount $D/mnt\n"
    )
    assert done.output.split() == ["code", "0", "code", "0", "kept", "code", "0"], done.errors
    assert "cleared away the dead mount" in done.errors
