"""`bench/run` works: small sizes, ourselves and the disk below. Nothing is said of times."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.commands import ROOT


def bench(*words, directory):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.suite",
            *words,
            "--out",
            directory / "out",
            "--dir",
            directory,
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.mount
@pytest.mark.slow
def test_the_quick_form_measures_ourselves_beside_the_disk(tmp_path):
    works = "metadata,memory"
    found = bench("--quick", "--peers", "pyi-fs,ext4", "--works", works, directory=tmp_path)
    assert found.returncode == 0, found.stderr
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    by_work = {row["work"] for row in rows}
    assert by_work == {"metadata", "memory"}
    (stat,) = [row for row in rows if (row["work"], row["what"]) == ("metadata", "stat")]
    assert set(stat["samples"]) == {"pyi-fs", "pyi-fs --writeback", "ext4"}
    assert "failed" not in found.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--works", "sleeping"], "no such work: sleeping (there are: metadata,"),
        (["--peers", "zfs"], "no such peer: zfs (there are: "),
    ],
)
def test_what_is_not_there_is_a_usage_error(tmp_path, words, sentence):
    found = bench(*words, directory=tmp_path)
    assert found.returncode == 2
    assert sentence in found.stderr
    assert not (tmp_path / "out").exists()
