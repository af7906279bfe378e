"""The first of the README's two commands: what it does, what it leaves, and how it ends early."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "tools" / "quickstart"
DESIGN = ROOT / "bench" / "designs" / "fir_dsp"
# The smallest that the flow takes: about a second each. The second is too inaccurate for its limit.
TINY = "TAPS=8 DECIMATION=2 MACS=4 DATA_BITS=8 COEFF_BITS=6 SAMPLES=64 CYCLES=500"
VARIANTS = (f"good {TINY} SNR_MIN_DB=0", f"bad {TINY} SNR_MIN_DB=99")


def command(base: Path, *variants: str) -> list[str]:
    """Returns the command behind `tools/quickstart`, which would set the checkout up first."""
    options = [option for variant in variants for option in ("--variant", variant)]
    return [sys.executable, "-m", "tools.quickstart", "--keep", str(base), *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def quickstart(base: Path, *variants: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(base, *variants), env=environment(), capture_output=True, text=True, check=False
    )


def in_store(base: Path, line: str) -> str:
    """Returns what a line of bash says, with our commands on PATH and the store of a run."""
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "PYI_STORE": str(base / "store")}
    done = subprocess.run(
        ["bash", "-c", line], cwd=base, env=variables, capture_output=True, text=True, check=True
    )
    return done.stdout


def assert_nothing_left(base: Path) -> None:
    """Fails if something below a directory is mounted, or a process knows it."""
    assert str(base) not in Path("/proc/self/mountinfo").read_text()
    assert list(processes_of(base)) == []


def processes_of(base: Path) -> Iterator[str]:
    """Yields the command lines of processes that name a directory or stand in it."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
            directory = os.readlink(process / "cwd")
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(base) in line or str(base) in directory):
            yield line


@pytest.mark.mount
@pytest.mark.slow
def test_the_whole_run_keeps_the_best_and_leaves_history(tmp_path):
    base = tmp_path / "run"
    done = quickstart(base, *VARIANTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_nothing_left(base)

    # The best variant is the branch that is left beside the first; it has the sources as they were.
    in_store(base, "pyi-mount --branch good --read-only fir mnt/main")
    try:
        root = base / "mnt" / "main"
        assert sorted(os.listdir(root / ".pyi" / "branches")) == ["good", "main"]
        assert (root / "settings").read_text() == f"{TINY} SNR_MIN_DB=0\n"
        assert json.loads((root / "build" / "report.json").read_text())["pass"] is True
        for source in (path for path in DESIGN.rglob("*") if path.is_file()):
            name = source.relative_to(DESIGN)
            if name.parts[0] != "build":
                assert (root / name).read_bytes() == source.read_bytes()
        assert {"start", "best"} <= set(os.listdir(root / ".pyi" / "snapshots"))
        operations = [json.loads(line) for line in (root / ".pyi" / "log").read_text().splitlines()]
        kinds = [operation["operation"] for operation in operations]
        assert kinds.count("restore") == 2
        assert kinds.count("undo") == 1
        assert [one["branch"] for one in operations if one["operation"] == "drop"] == ["bad"]
    finally:
        in_store(base, "pyi-mount --unmount mnt/main")

    # The fork is gone, the history is in git, and what was printed was so.
    assert "as-shipped" not in in_store(base, "pyi-store ls")
    git = in_store(base, "git -C repository show pyi/fir+good:build/report.json")
    assert json.loads(git)["pass"] is True
    subjects = in_store(base, "git -C repository log --format=%s pyi/fir+good").splitlines()
    assert subjects[0] == "best"
    assert "start" in subjects
    for said in ("best, kept", "failed: SNR", "nothing is mounted any more"):
        assert said in done.stdout
    assert_nothing_left(base)


@pytest.mark.mount
@pytest.mark.slow
def test_a_flow_that_fails_ends_the_run_and_unmounts(tmp_path):
    base = tmp_path / "run"
    done = quickstart(base, VARIANTS[0], "odd TAPS=7")
    assert done.returncode == 1
    assert "TAPS must be even" in done.stderr
    assert f"unmounted {base}/mnt/odd" in done.stderr
    assert_nothing_left(base)


@pytest.mark.mount
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["pyi-mount --branch bad", "Run the unmodified flow"])
def test_an_interrupted_run_leaves_nothing_behind(tmp_path, number, moment):
    base = tmp_path / "run"
    process = subprocess.Popen(
        command(base, *VARIANTS),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any(moment in line for line in process.stdout)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert f"unmounted {base}/mnt/main" in errors
    assert "nothing is mounted any more" in errors
    assert_nothing_left(base)


@pytest.mark.parametrize(
    ("variant", "sentence"),
    [("main TAPS=8", "a name is taken"), ("start TAPS=8", "a name is taken"), ("x", "settings")],
)
def test_a_variant_that_cannot_be_is_refused_before_anything_is_made(tmp_path, variant, sentence):
    done = quickstart(tmp_path / "run", variant)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_directory_in_use_is_refused(tmp_path):
    (tmp_path / "mine").write_text("precious")
    done = quickstart(tmp_path)
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert os.listdir(tmp_path) == ["mine"]


def test_help_installs_nothing_and_names_the_options():
    done = subprocess.run([QUICKSTART, "--help"], capture_output=True, text=True, check=True)
    assert "--keep DIR" in done.stdout
    assert done.stdout.startswith("Usage: tools/quickstart")
    assert done.stderr == ""


def test_without_fuse_it_says_so_in_one_line(tmp_path):
    """In a mount namespace whose `/dev` has no `fuse`."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can take /dev/fuse away")
    (tmp_path / "null").touch()
    hide = 'mount --bind /dev/null "$1/null" && mount --rbind "$1" /dev && exec "$2"'
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", hide, "bash", str(tmp_path), str(QUICKSTART)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("quickstart: FUSE is missing here")
    assert done.stderr.count("\n") == 1
