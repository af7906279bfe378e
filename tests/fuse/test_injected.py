"""No unexpected exception ends a mount: it is logged, its caller gets an errno, the mount lives on.

One after the other, everything that a mount is made of fails once, while the mount is used in every
way: handlers, publishing, invalidation, reaping, releases and forgets, background work, the log
writer.
"""

import errno
import os
import sys
from pathlib import Path

import pytest

from tests.support.injection import LOG_WRITER, Exerciser, names
from tests.support.mounting import Mount

pytestmark = [pytest.mark.mount, pytest.mark.slow, pytest.mark.in_turns]
ROUNDS = 2


@pytest.fixture
def trigger(tmp_path: Path) -> Path:
    return tmp_path / "fails"


def injecting(tmp_path: Path, trigger: Path) -> Mount:
    options = {"inject": str(trigger), "sync_interval": 0.05}
    return Mount(tmp_path / "store", tmp_path / "mount", options)


def fail_once(trigger: Path, name: str, exerciser: Exerciser) -> bool:
    """Has something fail; returns whether it was called at all."""
    # The log writer is asked when something else has failed.
    trigger.write_text(name if name != LOG_WRITER else f"{name}\nBranch.commit")
    for _ in range(ROUNDS):
        exerciser.run()
        if not trigger.exists():
            return True
    trigger.unlink(missing_ok=True)
    return False


@pytest.mark.parametrize("owner", sorted({name.partition(".")[0] for name in names()}))
def test_whatever_fails_the_mount_lives_on(tmp_path: Path, trigger: Path, owner: str):
    """Each method of a class, of which most have to be called."""
    wanted = [name for name in names() if name.partition(".")[0] == owner]
    fired = []
    mount = injecting(tmp_path, trigger)
    try:
        exerciser = Exerciser(mount.path)
        for name in wanted:
            if fail_once(trigger, name, exerciser):
                fired.append(name)
            assert mount.process.poll() is None, f"{name} ended the mount"
            exerciser.assert_alive(name)
        mount.unmount()
    finally:
        mount.kill()
        sys.stderr.write(mount.log[-5000:])
    assert mount.process.returncode == 0
    silent = [
        name for name in fired if name != LOG_WRITER and f"injected into {name}" not in mount.log
    ]
    assert silent == []
    assert 3 * len(fired) >= len(wanted), sorted(set(wanted) - set(fired))


@pytest.mark.parametrize("name", ["NameHandlers.lookup", "Branch.write", "Branch.commit"])
def test_the_caller_gets_eio(tmp_path: Path, trigger: Path, name: str):
    mount = injecting(tmp_path, trigger)
    try:
        trigger.write_text(name)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            (mount.path / "file").write_text("text")
        (mount.path / "file").write_text("text")
        assert (mount.path / "file").read_text() == "text"
        assert os.listdir(mount.path) == ["file"]
        mount.unmount()
    finally:
        mount.kill()
    assert f"injected into {name}" in mount.log
    assert "Traceback" in mount.log
