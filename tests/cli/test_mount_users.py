"""`pyi-mount` run by a user who is not root: what works, and how what may not be done is told."""

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from pyi_fs.cli.mountinfo import mount_at
from pyi_fs.fuse.device import kernel_release
from pyi_fs.fuse.transports import DIRECT, PYFUSE3
from tests.support.commands import ROOT, Done, run_command

pytestmark = [pytest.mark.mount, pytest.mark.slow]

AS_A_USER = """
mount --bind $D/fuse /dev/fuse
as() { id=$1; shift; setpriv --reuid=$id --regid=$id --clear-groups \\
    --inh-caps=-all --ambient-caps=-all env -u XDG_RUNTIME_DIR HOME=$D "$@"; }
u() { as 65534 "$@"; }
pyi() { u env PYI_STORE=$D/store PYTHONPATH=@root @python -m pyi_fs "$@"; }
pyi_mount() { pyi mount "$@"; echo "code $?"; }
"""
"""Makes `u COMMAND` run a command as a user without any privilege, `as NUMBER` as another one."""


def opened_ways() -> str:
    """Returns commands after which every user reaches interpreter and checkout in a namespace.

    They may lie below directories that only root may enter; those become empty but for them.
    """
    blocked: dict[Path, set[Path]] = {}
    for path in (Path(sys.base_prefix).resolve(), Path(sys.prefix), ROOT):
        closed = [parent for parent in path.parents if not parent.stat().st_mode & stat.S_IXOTH]
        if closed:
            blocked.setdefault(closed[-1], set()).add(path)
    lines = []
    for number, (parent, paths) in enumerate(blocked.items()):
        kept = [(f"$D/.way-{number}-{index}", path) for index, path in enumerate(sorted(paths))]
        lines += [f"mkdir {way}; mount --bind {path} {way}" for way, path in kept]
        lines += [f"mount -t tmpfs -o mode=755 none {parent}"]
        lines += [f"mkdir -p {path}; mount --move {way} {path}; rmdir {way}" for way, path in kept]
    return "\n".join(lines) + "\n"


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
        os.mknod(directory / "fuse", stat.S_IFCHR, os.makedev(10, 229))
        (directory / "fuse").chmod(0o666)
        text = AS_A_USER.replace("@root", str(ROOT)).replace("@python", sys.executable)
        prologue = f"umask 022; D={name}\n{opened_ways()}cd /\n{text}"

        def run_script(script: str) -> Done:
            return run_command(["unshare", "--mount", "sh", "-c", prologue + script])

        yield run_script


@pytest.mark.parametrize("name", [PYFUSE3, DIRECT])
def test_a_user_mounts_and_unmounts(user_shell, name):
    done = user_shell(
        f"pyi_mount --transport {name} ws $D/mnt\n"
        "u sh -c 'echo hello > $0/f; cat $0/f; stat -c %u $0/f' $D/mnt\n"
        "u findmnt -no SOURCE,OPTIONS $D/mnt\n"
        "pyi_mount --unmount $D/mnt; ls $D/mnt; stat -c '%u %a' $D/store\n"
    )
    first, hello, owner, source, second, store = done.output.splitlines()
    assert (first, hello, owner, second) == ("code 0", "hello", "65534", "code 0"), done.errors
    assert store == "65534 700"
    assert "store#ws" in source
    assert "nosuid,nodev" in source


def test_a_users_mount_serves_others_with_that_users_rights(user_shell):
    done = user_shell(
        "pyi_mount --transport direct ws $D/mnt\n"
        "u sh -c 'echo one > $0/f; echo try > $0/.pyi/branch; mkdir $1' $D/mnt $D/try\n"
        "pyi_mount --beside $D/mnt --branch try ws $D/try\n"
        "u sh -c 'cat $0/f; echo two > $0/f; stat -c %u $0/f' $D/try\n"
        "u findmnt -no OPTIONS $D/try | grep -c nosuid,nodev\n"
        "mkdir $D/roots\n"
        "u sh -c 'echo @1 $0 > $1/.pyi/mount; cat $1/.pyi/error' $D/roots $D/mnt\n"
        "kill -9 $(sed 's/.*\"pid\": \\([0-9]*\\).*/\\1/' $D/store/mounts/* | sort -u)\n"
        "u cat $D/mnt/f $D/try/f\n"
        "pyi_mount --unmount $D/mnt; pyi_mount --unmount $D/try\n"
    )
    lines = done.output.splitlines()
    assert lines[:5] == ["code 0", "code 0", "one", "65534", "1"], done.errors
    assert "/roots cannot be mounted on: " in lines[5]
    assert "no write access" in lines[5]
    if kernel_release() >= (6, 9):
        assert lines[6:] == ["one", "two", "code 0", "code 0"], done.errors


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
        "pyi_mount --no-holder ws $D/mnt\n"
        "u sh -c 'echo kept > $0/f' $D/mnt\n"
        "kill -9 $(sed 's/.*\"pid\": \\([0-9]*\\).*/\\1/' $D/store/mounts/*)\n"
        "pyi_mount ws $D/mnt\n"
        "u cat $D/mnt/f\n"
        "pyi_mount --unmount $D/mnt\n"
    )
    assert done.output.split() == ["code", "0", "code", "0", "kept", "code", "0"], done.errors
    assert "cleared away the dead mount" in done.errors


def codes(done: Done) -> list[str]:
    """Returns the codes of all `pyi_mount` of a script."""
    return [line.removeprefix("code ") for line in done.output.splitlines() if "code " in line]


def test_nobody_else_enters_and_nobody_else_reads_the_store(user_shell):
    """Neither another user nor root looks into the mount; root may end it."""
    done = user_shell(
        "pyi_mount ws $D/mnt\n"
        "u sh -c 'echo secret > $0/f' $D/mnt\n"
        "as 12345 ls $D/mnt; as 12345 cat $D/mnt/.pyi/last; as 12345 ls $D/store; ls $D/mnt\n"
        "u sh -c 'find $0 -type d ! -perm 0700 -o -type f ! -perm 0600' $D/store\n"
        "as 12345 fusermount3 -u $D/mnt; as 65534 cat $D/mnt/f\n"
        f"PYTHONPATH={ROOT} {sys.executable} -m pyi_fs mount --unmount $D/mnt; echo code $?\n"
    )
    assert done.output == "code 0\nsecret\ncode 0\n", done.errors
    assert done.errors.count("Permission denied") == 4
    assert "fusermount3: could not determine username" in done.errors


def test_allow_other_with_the_consent_of_root(user_shell):
    """Refused without it, in one line with the remedy; with it modes decide, and `.pyi` is shut."""
    done = user_shell(
        "mkdir -p $D/shared $D/etc; chown 65534 $D/shared\n"
        "cp /etc/fuse.conf $D/etc/fuse.conf; sed -i /^user_allow_other/d $D/etc/fuse.conf\n"
        "mount --bind $D/etc/fuse.conf /etc/fuse.conf\n"
        "pyi_mount --check --allow-other\n"
        "pyi_mount --allow-other ws $D/shared\n"
        "echo user_allow_other >> $D/etc/fuse.conf\n"
        "pyi_mount --check --allow-other\n"
        "pyi_mount --allow-other ws $D/shared\n"
        "u sh -c 'cd $0; echo shared > s; echo private > p; chmod 600 p' $D/shared\n"
        "as 12345 cat $D/shared/s $D/shared/p $D/shared/.pyi/last\n"
        "as 12345 sh -c 'echo x > $0/new' $D/shared\n"
        "cat $D/shared/p; u fusermount3 -u $D/shared; u ls $D/shared\n"
    )
    assert codes(done) == ["1", "1", "0", "0"], done.errors
    (check, *_), lines = done.output.splitlines(), done.errors.splitlines()
    for line in (check, lines[0]):
        assert "echo user_allow_other >> /etc/fuse.conf" in line
    assert lines[0].startswith("pyi-mount: ")
    assert done.output.endswith("nothing is missing\ncode 0\ncode 0\nshared\nprivate\n")
    assert done.errors.lower().count("permission denied") == 3


def test_each_lack_of_a_user_has_its_line(user_shell):
    """Really missing, one after the other; nothing is made by a mount that is refused."""
    done = user_shell(
        "chmod 600 $D/fuse; pyi_mount --check; chmod 666 $D/fuse\n"
        "u setpriv --no-new-privs true && u env PYI_STORE=$D/store setpriv --no-new-privs "
        f"env PYTHONPATH={ROOT} {sys.executable} -m pyi_fs mount --check\n"
        "(ulimit -n 512; pyi_mount --check)\n"
        "mkdir $D/theirs; pyi_mount --store=$D/theirs/x ws $D/mnt\n"
        "as 65534 env -u HOME true; pyi_mount ws $D/theirs; pyi_mount --over ws /tmp\n"
        "cp $(command -v fusermount3) $D/plain; mount --bind $D/plain $(command -v fusermount3)\n"
        "pyi_mount --check\n"
        "ls -A $D\n"
    )
    printed = done.output
    for words in (
        "/dev/fuse may not be opened by this user: as root run `chmod 0666 /dev/fuse`",
        "cannot become root (this process has no_new_privs)",
        "at most 512 files may be open, 1024 are needed",
        "is not set-uid root: reinstall the package fuse3",
    ):
        assert words in printed, done
    shared, owned, sticky = done.errors.splitlines()
    assert "theirs may not be written by this user: name another place with `--store" in shared
    assert "/theirs is not a directory that this user may write to and mount on" in owned
    assert "/tmp is not a directory" in sticky
    assert codes(done) == ["1"] * 6
    assert printed.splitlines()[-4:] == ["fuse", "mnt", "plain", "theirs"]


def test_a_busy_mount_of_a_user_names_who_uses_it(user_shell):
    done = user_shell(
        "pyi_mount ws $D/mnt\n"
        "mkfifo $D/go; chmod 666 $D/go\n"
        "u sh -c 'cd $0/mnt; exec 7>f; echo in; read x < $0/go' $D > $D/out &\n"
        "until grep -q in $D/out; do :; done\n"
        "pyi_mount --unmount $D/mnt; u fusermount3 -u $D/mnt\n"
        "echo > $D/go; wait; pyi_mount --unmount $D/mnt\n"
    )
    assert codes(done) == ["0", "1", "0"], done.errors
    assert "is in use: " in done.errors
    assert " sh (working directory)" in done.errors
    assert "fusermount3: failed to unmount" in done.errors


@pytest.fixture
def user_namespaces(user_shell):
    """Skips where the kernel makes no user namespace for users: in a chroot, in most containers."""
    made = user_shell("u unshare -Ur --mount true && u unshare -U true")
    if made.code != 0:
        pytest.skip(f"users may make no user namespace here: {made.errors.strip()}")


def test_without_root_mapped_the_check_says_that_there_is_none(user_shell, user_namespaces):
    done = user_shell(
        f"u unshare -U env PYI_STORE=$D/store PYTHONPATH={ROOT} {sys.executable} -m pyi_fs mount "
        "--check\n"
    )
    assert done.code == 1
    assert "cannot become root (there is none in this user namespace)" in done.output


def test_in_a_user_namespace_anybody_is_root_enough(user_shell, user_namespaces):
    """With root mapped, and mounts of its own: no set-uid helper is needed."""
    done = user_shell(
        "mount -t tmpfs -o mode=755 none /usr/local/bin\n"
        f"u env PYI_STORE=$D/store PYTHONPATH={ROOT} P={sys.executable} D=$D "
        "unshare -Ur --mount sh -c '\n"
        'pyi() { $P -m pyi_fs mount "$@"; echo "code $?"; }\n'
        "pyi --check; pyi ws $D/mnt; echo inside > $D/mnt/f; cat $D/mnt/f\n"
        "chown 0:0 $D/mnt/f; cut -c1-3 $D/mnt/.pyi/snapshot\n"
        "(cd $D/mnt; pyi --unmount $D/mnt); pyi --unmount $D/mnt; ls $D/mnt'\n"
        "pyi_mount ws $D/mnt; u cat $D/mnt/f; pyi_mount --unmount $D/mnt\n"
    )
    lines = done.output.splitlines()
    assert lines[:5] == ["nothing is missing", "code 0", "code 0", "inside", "2-" + lines[4][2:]]
    assert lines[5:] == ["code 1", "code 0", "code 0", "inside", "code 0"], done


def test_the_session_of_the_readme_works_for_a_user(user_shell):
    """What the README shows first, in the user's own home and default store."""
    done = user_shell(
        f'u sh -c \'P="{sys.executable} -m pyi_fs"; export PYTHONPATH={ROOT}; set -e\n'
        "cd $HOME; mkdir src work; echo one > src/top.v; unset PYI_STORE\n"
        "$P mount --from ./src demo work; cd work; echo two > top.v; touch notes\n"
        "cut -f2 .pyi/snapshot; echo good > .pyi/snapshot; rm -rf *; cat .pyi/diff/good..\n"
        "echo good > .pyi/restore; ls; cut -c1-4 .pyi/undo\n"
        "cd ..; $P mount --unmount work; stat -c %a .local/share/pyi\n"
        "$P fsck; $P store ls | cut -f1'\n"
    )
    wanted = ["+1 ~1 -0", "D\tnotes", "D\ttop.v", "notes", "top.v", "undo", "700", "demo"]
    assert done.output.splitlines() == wanted, done
