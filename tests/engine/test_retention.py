"""Retention keeps what its policy says, and the floor whatever the policy is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.engine.retention import DEFAULT, Policy, Step, expendable, floor, thin
from pyi_fs.ids import BranchName, InodeNumber, LayerId, Position, SnapshotId
from pyi_fs.model.operation import (
    Begin,
    DropBranch,
    MakeBranch,
    Operation,
    PinSnapshot,
    TakeSnapshot,
    UnpinSnapshot,
)
from pyi_fs.model.refs import Refs, with_operation

HOUR, DAY = 3600, 24 * 3600
NOW = 2_000 * 7 * DAY + 3 * DAY + 1800
MAIN = BranchName("main")


def ns(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


def folded(*operations: Operation) -> Refs:
    refs = with_operation(Refs(), Begin(0, MAIN, Position(LayerId(1), 10), "empty", InodeNumber(2)))
    for operation in operations:
        refs = with_operation(refs, operation)
    return refs


def taken(number: int, age: float, branch: str = "main", name: str = "", automatic: str = ""):
    return TakeSnapshot(
        ns(NOW - age),
        BranchName(branch),
        SnapshotId(f"{number}-x"),
        Position(LayerId(1), 100 + number),
        *(1, 0, 0),
        None,
        name,
        "",
        automatic,
    )


def removed(refs: Refs, policy: Policy = DEFAULT) -> list[str]:
    return [removal.snapshot.id for removal in thin(refs, ns(NOW), policy)]


NEWEST = taken(99, HOUR)
TABLE = {
    "all of a day": ([taken(n, n * HOUR / 2) for n in range(1, 48)], []),
    "hourly to a week": (
        [taken(1, 2 * DAY + 900), taken(2, 2 * DAY + 600), taken(3, 2 * DAY - HOUR), NEWEST],
        ["1-x"],
    ),
    "daily to a month": (
        [taken(1, 9 * DAY + 1000), taken(2, 9 * DAY + 10), taken(3, 8 * DAY), NEWEST],
        ["1-x"],
    ),
    "weekly after": (
        [taken(1, 40 * DAY), taken(2, 39 * DAY), taken(3, 33 * DAY), NEWEST],
        ["1-x"],
    ),
    "the last of a branch": ([taken(1, 400 * DAY)], []),
    "named": ([taken(1, 9 * DAY + 10, name="n"), taken(2, 9 * DAY), NEWEST], []),
    "pinned": (
        [taken(1, 9 * DAY + 10), PinSnapshot(1, SnapshotId("1-x")), taken(2, 9 * DAY), NEWEST],
        [],
    ),
    "unpinned": (
        [
            taken(1, 9 * DAY + 10),
            PinSnapshot(1, SnapshotId("1-x")),
            UnpinSnapshot(2, SnapshotId("1-x")),
            taken(2, 9 * DAY),
            NEWEST,
        ],
        ["1-x"],
    ),
    "a branch starts from it": (
        [
            taken(1, 9 * DAY + 10),
            taken(2, 9 * DAY),
            MakeBranch(0, BranchName("b"), Position(LayerId(1), 101), SnapshotId("1-x"), False),
            NEWEST,
        ],
        [],
    ),
    "each branch for itself": (
        [
            MakeBranch(0, BranchName("b"), Position(LayerId(1), 10), None, False),
            taken(1, 9 * DAY + 10),
            taken(2, 9 * DAY, "b"),
            taken(3, HOUR, "b"),
            NEWEST,
        ],
        [],
    ),
    "a branch dropped long ago": (
        [
            MakeBranch(0, BranchName("b"), Position(LayerId(1), 10), None, False),
            taken(1, 3 * DAY, "b"),
            taken(2, 3 * DAY, "b", name="kept"),
            DropBranch(ns(NOW - 2 * DAY), BranchName("b")),
            NEWEST,
        ],
        ["1-x"],
    ),
    "a branch dropped lately": (
        [
            MakeBranch(0, BranchName("b"), Position(LayerId(1), 10), None, False),
            taken(1, 3 * DAY, "b"),
            DropBranch(ns(NOW - HOUR), BranchName("b")),
            NEWEST,
        ],
        [],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_default_removes(case: str) -> None:
    operations, expected = TABLE[case]
    assert removed(folded(*operations)) == expected


def test_a_removal_says_why() -> None:
    (removal,) = thin(folded(*TABLE["daily to a month"][0]), ns(NOW))
    assert removal.reason == "retention: one per day is kept"


def test_a_budget_takes_automatic_ones_first_and_oldest_first() -> None:
    refs = folded(
        taken(1, 9 * HOUR),
        taken(2, 8 * HOUR, automatic="x"),
        taken(3, 7 * HOUR, automatic="x"),
        taken(4, 6 * HOUR, name="named"),
        taken(5, 5 * HOUR),
        taken(6, HOUR),
    )
    found = [snapshot.id for snapshot in expendable(refs, ns(NOW), [SnapshotId("5-x")])]
    assert found == ["2-x", "3-x", "1-x"]


ages = st.floats(0, 100 * DAY)
policies = st.builds(
    Policy,
    st.integers(0, DAY),
    st.lists(
        st.builds(Step, st.one_of(st.none(), st.integers(1, 90 * DAY)), st.integers(1, 30 * DAY))
    ).map(tuple),
)


@given(
    st.lists(
        st.tuples(ages, st.sampled_from(["main", "b", "c"]), st.booleans(), st.booleans()),
        max_size=30,
    ),
    policies,
    st.floats(0, 50 * DAY),
)
def test_no_policy_and_no_budget_goes_below_the_floor(made, policy, dropped_ago) -> None:
    operations: list[Operation] = [
        MakeBranch(0, BranchName(name), Position(LayerId(1), 10), None, False) for name in "bc"
    ]
    for number, (age, branch, named, pinned) in enumerate(made, 1):
        operations.append(taken(number, age, branch, f"n{number}" if named else ""))
        if pinned:
            operations.append(PinSnapshot(1, SnapshotId(f"{number}-x")))
    operations.append(DropBranch(ns(NOW - dropped_ago), BranchName("c")))
    refs = folded(*operations)
    gone = set(removed(refs, policy))
    gone |= {snapshot.id for snapshot in expendable(refs, ns(NOW), map(SnapshotId, gone))}
    assert not gone & floor(refs, ns(NOW)).keys()
    there = ["main", "b"] + (["c"] if dropped_ago <= limits.UNDO_WINDOW_SECONDS else [])
    for snapshot in refs.ordered():
        is_last = snapshot.branch in there and snapshot.id == refs.branches[snapshot.branch].last
        is_young = NOW - snapshot.time_ns / 1e9 < limits.RETENTION_AGE_SECONDS_MIN - 1
        if snapshot.name or snapshot.pinned or is_last or is_young:
            assert snapshot.id not in gone
