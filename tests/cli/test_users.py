"""Who uses a directory: each way of using it is found, and only those."""

import os
import shutil
import subprocess
import sys

import pytest

from pyi_fs.cli.users import users_of

HOLDS = {
    "working directory": "os.chdir(path)",
    "open": "held = open(path + '/f')",
    # Not Python's own mmap, which keeps a descriptor that would be found first.
    "mapped": "fd = os.open(path + '/f', 0); libc.mmap(None, 1, 1, 2, fd, 0); os.close(fd)",
}


@pytest.mark.parametrize("how", HOLDS)
def test_a_process_that_uses_it_is_named_with_the_way(how, tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    script = (
        "import ctypes, os, sys; path = sys.argv[1]; libc = ctypes.CDLL(None)\n"
        f"{HOLDS[how]}\nprint('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        found = users_of(str(tmp_path))
        process.communicate()
    assert [user.pid for user in found] == [process.pid]
    assert found[0].how.startswith(how)
    assert str(process.pid) in str(found[0])


def test_this_process_and_neighbours_with_similar_names_do_not_count(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    with subprocess.Popen(
        ["cat"], cwd=tmp_path / "ab", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        descriptor = os.open(tmp_path / "a", os.O_RDONLY)
        assert users_of(str(tmp_path / "a")) == []
        os.close(descriptor)
        process.communicate()


def test_a_program_that_runs_from_it_is_named(tmp_path):
    program = shutil.copy(str(shutil.which("cat")), tmp_path / "program")
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        (user,) = users_of(str(tmp_path))
        process.communicate()
    assert (user.pid, user.command, user.how) == (process.pid, "program", f"program {program}")
