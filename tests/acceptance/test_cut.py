"""A snapshot is a cut: all that returned before the request, and no write without earlier ones."""

import os
import shutil
import subprocess
import time
from contextlib import ExitStack

import pytest

from tests.support.acceptance import ROOT, finish, run, start, stop

pytestmark = [pytest.mark.mount, pytest.mark.slow]

MEGABYTE = 1 << 20


def test_every_snapshot_is_a_cut_across_files(served, writeback, is_long):
    """A gets i, then B gets i, then a log gets i, while another program writes at full speed.

    With the writeback cache only the first half is promised: what had returned before is there,
    but the kernel writes files that are open in the order it likes.
    """
    snapshots_count = 600 if is_long else 150
    if writeback:
        # Each has the kernel write out what the other program wrote since the last.
        snapshots_count //= 4
    root = served.path
    writer = start("turns", root)
    fast = start("rewriter", root / "big", 8 * MEGABYTE, 0)
    descriptor = os.open(root / ".pyi" / "snapshot", os.O_RDWR)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "started\n"
        ids, before = [], []
        for number in range(snapshots_count):
            # What this process writes before it asks must be in.
            (root / "mine").write_text(f"{number}")
            before.append([int((root / name).read_bytes()) for name in ("a", "b")])
            ids.append(os.pread(descriptor, 200, 0).decode().split("\t")[0])
        written = int(finish(writer).split()[-1])
        rewritten = int(finish(fast).split()[-1])
    finally:
        os.close(descriptor)
        stop(writer, fast)
    assert len(set(ids)) == snapshots_count
    assert written > snapshots_count
    assert rewritten
    last = -1
    for number, snapshot in enumerate(ids):
        top = root / ".pyi" / "snapshots" / snapshot
        assert (top / "mine").read_text() == str(number)
        a, b = int((top / "a").read_bytes()), int((top / "b").read_bytes())
        assert a >= before[number][0], snapshot
        assert b >= before[number][1], snapshot
        if writeback:
            log = [int(line) for line in (top / "log").read_bytes().splitlines()[: min(a, b)]]
            assert log[: before[number][1]] == list(range(before[number][1])), snapshot
            continue
        log = [int(line) for line in (top / "log").read_bytes().splitlines()]
        assert b in (a, a - 1), snapshot
        assert log == list(range(len(log))), snapshot
        assert len(log) in (b, b + 1), snapshot
        assert a >= last, snapshot
        last = a
    assert served.status()["orphans"] == 0


@pytest.mark.skipif(shutil.which("vvp") is None, reason="Icarus Verilog is not installed")
def test_snapshots_of_a_growing_waveform_are_prefixes_of_it(served, writeback, is_long):
    """Icarus writes 500 MB (or 20 MB); the shape of the file is its own, not one we chose.

    With the writeback cache a snapshot has all that was written before it, and promises no more.
    """
    cycles = 260_000 if is_long else 11_000
    pause_seconds = 1.0 if is_long else 0.3
    design = served.path / "fir"
    shutil.copytree(ROOT / "bench" / "designs" / "fir_dsp", design)
    run("./flow.sh", "sim", "CYCLES=100", cwd=design)
    waveform = design / "build" / "wave.vcd"
    arguments = [
        *("+coefficients=build/coefficients.txt", "+signal=build/signal.txt"),
        *(f"+cycles={cycles}", "+vcd=build/wave.vcd", "+outputs=build/outputs.txt"),
    ]
    ids: list[str] = []
    before: dict[str, int] = {}
    with ExitStack() as stack:
        simulation = subprocess.Popen(
            ["vvp", "-n", "build/sim.vvp", *arguments],
            cwd=design,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        stack.callback(simulation.kill)
        while True:
            # The pace of the snapshots, not a wait for something.
            time.sleep(pause_seconds)
            written = waveform.stat().st_size if waveform.exists() else 0
            ids.append(served.snapshot())
            before.setdefault(ids[-1], written)
            if simulation.poll() is not None:
                break
        assert simulation.returncode == 0
    final = waveform.stat().st_size
    assert final > (480 if is_long else 18) * MEGABYTE
    sizes = []
    for snapshot in dict.fromkeys(ids):
        path = served.path / ".pyi" / "snapshots" / snapshot / "fir" / "build" / "wave.vcd"
        size = path.stat().st_size if path.exists() else 0
        assert size >= before[snapshot]
        if writeback:
            size = before[snapshot]
        if size:
            # cmp says nothing when the first `size` bytes are the same.
            run("cmp", "-n", str(size), path, waveform)
        sizes.append(size)
    assert sizes == sorted(sizes)
    assert sizes[-1] == final or (writeback and sizes[-1] > 0)
    assert any(0 < size < final for size in sizes)
