"""Who asks is known to what is done, and to nothing else."""

import contextvars

from pyi_fs.control import beside
from pyi_fs.control.files import FILES
from tests.support.control_rig import UID, Rig


def test_a_command_knows_who_asked(rig: Rig, monkeypatch):
    seen = []

    def write(session, view, data):
        seen.append(beside.UID.get())
        return b""

    monkeypatch.setitem(FILES, b"drop", FILES[b"drop"]._replace(write=write))
    for uid in (UID, 0):
        contextvars.copy_context().run(rig.write, ".pyi/drop", b"x\n", uid)
    assert seen == [UID, 0]


def test_nobody_has_asked_at_first():
    empty = contextvars.Context()
    assert (empty.run(beside.UID.get), empty.run(beside.THREAD.get)) == (-1, 0)
