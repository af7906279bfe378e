"""`pyi-fsck`: its exit codes, and that findings are printed."""

import json

import pytest

from pyi_fs.cli import workspaces
from pyi_fs.cli.fsck import command
from pyi_fs.engine.findings import Finding
from tests.support.commands import Done, call, run

FINDINGS = [
    Finding("error", "chunk", "packs/ab/x.pack", "wrong bytes", (b"a\xff",), ("ws@1-ab",)),
    Finding("note", "stray", "layers/ab/x.removed", "left behind"),
]


@pytest.fixture
def sound(store):
    workspaces.make_empty(store, "ws")
    return store


@pytest.fixture
def found(monkeypatch, sound):
    """Makes the check find what the returned list holds; notes how it was asked."""
    findings: list[Finding] = []
    asked: list[bool] = []

    def check(path, *, verify_data, progress):
        assert path == sound
        asked.append(verify_data)
        return findings

    monkeypatch.setattr("pyi_fs.cli.fsck.check_directory", check)
    return findings, asked


def test_a_sound_store_is_code_0(sound):
    assert run("fsck") == Done(0, "", "")
    assert run("fsck", "--verify-data") == Done(0, "", "")


def test_damage_is_code_4_and_names_the_file(sound):
    (log,) = sound.glob("workspaces/ws/log")
    data = bytearray(log.read_bytes())
    data[20] ^= 1
    log.write_bytes(data)
    done = run("fsck")
    assert done.code == 4
    assert "workspaces/ws/log" in done.output
    assert done.errors.startswith("pyi-fsck: ")


def test_findings_are_printed_and_counted(found, sound):
    found[0].extend(FINDINGS)
    done = call(command, name="pyi-fsck")
    assert (done.code, done.errors) == (4, f"pyi-fsck: {sound}: 1 finding\n")
    assert done.output.splitlines() == [str(finding) for finding in FINDINGS]
    assert found[1] == [False]


def test_what_was_mended_is_code_1_and_said(sound):
    (sound / "format").write_text("noise")
    done = run("fsck", "--repair")
    assert (done.code, done.output) == (1, "")
    assert "mended format" in done.errors
    assert run("fsck", "--repair") == Done(0, "", "")


def test_the_index_is_rebuilt_when_it_is_damaged_or_gone(sound):
    for damage in (lambda file: file.write_bytes(b"noise" * 999), lambda file: file.unlink()):
        damage(sound / "index.sqlite")
        done = run("fsck", "--rebuild-index")
        assert (done.code, done.output) == (1, "")
        assert "rebuilt from 0 packs" in done.errors
    assert run("fsck") == Done(0, "", "")


def test_notes_alone_are_sound(found):
    found[0].append(FINDINGS[1])
    done = call(command, "--verify-data", name="pyi-fsck")
    assert (done.code, done.errors) == (0, "")
    assert found[1] == [True]


def test_json_is_one_object_a_line(found):
    found[0].extend(FINDINGS)
    done = call(command, "--json", name="pyi-fsck")
    first = json.loads(done.output.splitlines()[0])
    assert (first["severity"], first["paths"], first["refs"]) == ("error", ["a\\xff"], ["ws@1-ab"])


def test_what_cannot_be_checked_is_8_and_usage_16(store):
    done = run("fsck")
    assert (done.code, done.errors.count("\n")) == (8, 1)
    assert "no store" in done.errors
    assert run("fsck", "--frob").code == 16
