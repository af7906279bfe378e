"""The same thing found again is one finding; whatever is raised is one, too."""

from pyi_fs.engine.findings import PATHS_MAX, Finding, Report
from pyi_fs.errors import CorruptPackError


def test_the_same_thing_found_again_adds_its_paths_and_refs():
    report = Report()
    report.add("error", "data", "f", "lost", paths=[b"a"], refs=["w@1"])
    report.add("error", "data", "f", "lost", paths=[b"b", b"a"], refs=["w@1", "w@2"])
    (finding,) = report.findings()
    assert finding == Finding("error", "data", "f", "lost", (b"a", b"b"), ("w@1", "w@2"))
    assert str(finding) == "error: f: lost (touches a and 1 more) [w@1, w@2]"


def test_errors_come_first():
    report = Report()
    for severity in ("note", "warning", "error"):
        report.add(severity, "k", "f", "m")
    assert [one.severity for one in report.findings()] == ["error", "warning", "note"]


def test_paths_are_bounded():
    report = Report()
    report.add("error", "k", "f", "m", paths=(b"%d" % number for number in range(PATHS_MAX * 2)))
    assert len(report.findings()[0].paths) == PATHS_MAX


def damaged() -> None:
    raise CorruptPackError("packs/x", 3, 1, 2)


def test_whatever_is_raised_becomes_a_finding():
    report = Report()
    with report.examining("k", "f"):
        _ = [1][int("7")]
    with report.examining("k", "f", refs=["r"]):
        damaged()
    found = {one.file: one for one in report.findings()}
    assert found["f"].message == "IndexError: list index out of range"
    assert found["packs/x"].refs == ("r",)


def test_who_waits_is_told():
    seen: list[str] = []
    Report(seen.append).looking_at("f")
    Report().looking_at("f")
    assert seen == ["f"]
