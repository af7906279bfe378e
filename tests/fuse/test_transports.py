"""The choice of a transport, and that what is chosen is what serves."""

import json
import os

import pytest

from pyi_fs.errors import InvalidArgumentError
from pyi_fs.fuse import transports
from pyi_fs.fuse.polling import Polling
from pyi_fs.fuse.polling_tokens import PollingTokens
from pyi_fs.fuse.protocol import InitFlag
from pyi_fs.fuse.transports import AUTO, DIRECT, PYFUSE3
from tests.support.mounting import ROOT, mounted


def _nothing() -> None:
    """Is called when requests are answered; here none are."""


def made(session, name):
    """Returns a transport that never runs."""
    return transports.made(
        name,
        session,
        os.open("/dev/null", os.O_RDWR),
        spin_us=0,
        writeback=False,
        ready=_nothing,
        polling=Polling(PollingTokens(0)),
    )


def test_every_feature_that_can_be_negotiated_is_in_the_document():
    text = (ROOT / "docs" / "transport.md").read_text()
    assert not [flag.name for flag in InitFlag if f"`{flag.name}`" not in text]


def test_a_name_gives_that_transport(rig):
    transport = made(rig.session, DIRECT)
    assert transport.name == DIRECT
    assert transport.requests == {}


def test_another_name_is_refused_with_those_there_are(rig):
    with pytest.raises(InvalidArgumentError, match="auto, pyfuse3, direct"):
        made(rig.session, "fastest")


@pytest.mark.mount
@pytest.mark.slow
def test_status_says_which_transport_serves(tmp_path, transport):
    with mounted(tmp_path) as mount:
        assert json.loads(mount.ask("status"))["transport"] == transport


@pytest.mark.parametrize(("release", "chosen"), [("6.18.0", DIRECT), ("5.3.18", PYFUSE3)])
def test_auto_is_direct_where_the_kernel_can(rig, monkeypatch, release, chosen):
    made_of = []
    monkeypatch.setattr(transports, "_Pyfuse3", lambda *_, **__: made_of.append(PYFUSE3))
    monkeypatch.setattr(transports, "_direct", lambda *_, **__: made_of.append(DIRECT))
    names = os.uname_result(("Linux", "host", release, "#1", "x86_64"))
    monkeypatch.setattr("pyi_fs.fuse.device.os.uname", lambda: names)
    made(rig.session, AUTO)
    assert made_of == [chosen]
