"""The line a snapshot is answered with."""

from pyi_fs.engine.answer import Answer, line_of
from pyi_fs.ids import BranchName, LayerId, Position, SnapshotId
from pyi_fs.model.refs import Snapshot

SNAPSHOT = Snapshot(
    SnapshotId("7-0a1b2c"),
    BranchName("main"),
    Position(LayerId(1), 2),
    3,
    added=4,
    modified=5,
    deleted=6,
    parent=None,
    name="name",
    message="",
    automatic="",
)


def test_a_changed_tree_is_answered_with_its_counts():
    assert Answer(SNAPSHOT, unchanged=False).line() == "7-0a1b2c\t+4 ~5 -6"
    assert line_of(SNAPSHOT) == "7-0a1b2c\t+4 ~5 -6"


def test_an_unchanged_tree_is_answered_with_the_same_id_and_that_word():
    assert Answer(SNAPSHOT, unchanged=True).line() == "7-0a1b2c\tunchanged"
