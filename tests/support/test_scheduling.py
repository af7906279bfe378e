"""The layers' order with several processes: what is dealt out together, and what is not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment
from tests.support.layers import LAYERS
from tests.support.scheduling import unit_of


@pytest.mark.parametrize(
    ("test", "unit"),
    [
        ("tests/model/test_a.py::test_x", "tests/model/test_a.py"),
        ("tests/model/test_a.py::TestX::test_y[1-direct]", "tests/model/test_a.py[direct]"),
        (
            "tests/fuse/test_a.py::test_x[direct-writeback-7]",
            "tests/fuse/test_a.py[direct-writeback]",
        ),
        ("tests/fuse/test_a.py::test_x[tmpfs-pyfuse3]", "tests/fuse/test_a.py[pyfuse3]"),
        ("tests/fuse/test_a.py::test_x[directory]", "tests/fuse/test_a.py"),
        ("tests/fuse/test_direct.py::test_x[host]", "tests/fuse/test_direct.py"),
    ],
)
def test_a_unit_is_a_file_or_one_way_to_mount_of_it(test, unit):
    assert unit_of(test) == unit


def run_tree(place: Path, tests: dict[str, str], *options: str) -> str:
    """Returns what pytest prints of tests of its own, LAYER -> source, with our conftest."""
    for layer, source in tests.items():
        (place / "tests" / layer).mkdir(parents=True)
        (place / "tests" / layer / f"test_{layer}.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "tests.conftest", f"--rootdir={place}"]
    done = subprocess.run(
        [*command, "-c", "/dev/null", "--import-mode=importlib", *options, "tests"],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    return done.stdout


FAILS = """
from pathlib import Path
def test_fails(): assert False
def test_then_goes_on(): Path("told").touch()
"""
WAITS = """
from pathlib import Path
def test_waits():
    while not Path("told").exists(): pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_in_a_layer_keeps_those_above_from_running(tmp_path, workers):
    """The other process has what was dealt out to it meanwhile, and gets no more."""
    above = dict.fromkeys((*LAYERS[4:], "api"), "def test_it(): pass\n")
    tests = {"model": FAILS, "store": WAITS if workers else "", **above}
    printed = run_tree(tmp_path, tests, f"--numprocesses={workers}", "--dist=loadscope")
    assert "model failed: the layers above it" in printed
    assert "test_then_goes_on PASSED" in printed or "PASSED tests/model" in printed
    for layer in ("posix", "disks", "cli", "api"):
        assert f"test_{layer}.py" not in printed
