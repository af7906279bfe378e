"""One branch: commits, writes, garbage, syncs."""

from tests.support.workspaces import Rig


def test_what_was_written_is_read(workspace: Rig) -> None:
    workspace.make("f", b"hello")
    workspace.write("f", b"J", 0)
    assert workspace.read("f") == b"Jello"
    s = workspace.snapshot()
    workspace.write("f", b"x")
    workspace.checkpoint()
    workspace.seal_all()
    assert workspace.picture_at(s)[b"f"][-1] == b"Jello"
