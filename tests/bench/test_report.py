"""What a report says of results that are known."""

import json
from xml.etree import ElementTree

from bench import machine, report
from bench.charts import draw
from bench.measure import Results, Row


def some_results() -> Results:
    results = Results()
    for value in (10.0, 11.0, 12.0):
        results.add(Row("names", "stat"), "ext4", value / 5)
        results.add(Row("names", "stat"), "pyi-fs", value)
        results.add(Row("names", "stat"), "bindfs", value * 3)
    for peer, speed in (("pyi-fs", 200.0), ("ext4", 400.0)):
        results.add(Row("names", "write", "MB/s", more_is_better=True), peer, speed)
    results.skip("s3ql: not installed")
    results.skip("s3ql: not installed")
    return results


def test_a_table_says_how_many_times_better_ours_is():
    assert report.table(some_results(), "names").splitlines() == [
        "| | pyi-fs | ext4 | bindfs |",
        "|---|---|---|---|",
        "| stat, us | 11.0 | **0.20x** (2.20) | **3.00x** (33.0) |",
        "| write, MB/s | 200 | **0.50x** (400) |  |",
    ]


def test_rows_that_spread_are_marked():
    results = Results()
    for value in (1.0, 5.0, 9.0):
        results.add(Row("w", "noisy"), "pyi-fs", value)
    assert "| noisy, us | 5.00 ~ |" in report.table(results, "w")


def test_a_report_has_machine_tables_notes_and_what_is_missing(tmp_path):
    here = machine.look(tmp_path)
    charts = draw(some_results(), tmp_path)
    report.write(tmp_path, some_results(), here, ["A note."], charts)
    text = (tmp_path / "report.md").read_text()
    for part in (
        here.line(),
        "## names",
        "![names](names.svg)",
        "A note.",
        "- s3ql: not installed",
    ):
        assert text.count(part) == 1, part
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["rows"][0]["samples"]["pyi-fs"] == [10.0, 11.0, 12.0]
    assert found["machine"]["kernel"] == here.kernel


def test_charts_are_pictures_of_every_comparison(tmp_path):
    assert draw(some_results(), tmp_path) == ["names.svg"]
    assert (tmp_path / "names.png").read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(tmp_path / "names.svg").getroot().tag.endswith("svg")


def test_what_has_nobody_to_be_compared_with_has_no_chart(tmp_path):
    results = Results()
    results.add(Row("memory", "idle", "MB"), "pyi-fs", 20.0)
    assert draw(results, tmp_path) == []
    assert list(tmp_path.iterdir()) == []
