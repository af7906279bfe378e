"""Journals and logs with right checksums and wrong content: an error of ours, never anything else.

Each record is appended to the journal of a sound store as a writer would have, then everything is
opened, folded, walked, read and checked.
"""

import shutil
import signal
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import PyiError
from pyi_fs.format.record import (
    encode_frame,
    encode_mutation,
)
from pyi_fs.ids import InodeNumber, SegmentId
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.model.mutation import (
    Allocate,
    Create,
    Link,
    Mutation,
    Reap,
    Remove,
    Rename,
    SetAttributes,
    SetXattr,
    Share,
    Write,
)
from pyi_fs.store.journal import journal_seed
from tests.support.engine_rig import noise, opened, put, written

pytestmark = [pytest.mark.slow]
SECONDS = 20


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "store"
    with opened(path) as store, written(store, "w") as (workspace, branch):
        put(branch, b"a/b/file", noise(5000))
        put(branch, b"top", noise(100))
        workspace.snapshot(branch, name="s")
    return path


numbers = st.sampled_from([0, 1, 2, 3, 4, 5, 9, -1, 2**32, 2**63 - 1, 2**64 - 1]).map(InodeNumber)
sizes = st.sampled_from([0, 1, 4096, 5000, -1, 2**40, 2**62, 2**63 - 1, 2**64 - 1])
names = st.sampled_from([b"a", b"b", b"top", b"file", b"", b".", b"..", b"x/y", b"\0", b"n" * 300])
times = st.sampled_from([0, 1, -1, 2**63 - 1, 2**64 - 1])
modes = st.sampled_from([0, stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, 0o170000, -1, 2**40])
segments = st.sampled_from([0, 1 << 24, 2**63 - 1, 2**64 - 1]).map(SegmentId)
extents = st.one_of(
    st.sampled_from([b"", b"short", bytes(56), b"\xff" * 56, b"\xff" * 112, (b"", b"x"), ()]),
    st.builds(
        lambda start, length, kind, offset: extent.pack(
            Extent(start, length, kind, b"\1" * 32, offset)
        ),
        st.sampled_from([0, 1, 2**63]),
        st.sampled_from([0, 1, 2**32 - 1]),
        st.sampled_from([0, 1, 2, 3]),
        st.sampled_from([0, 2**63]),
    ),
)
fresh = st.sampled_from([50, 51]).map(InodeNumber)
mutations: st.SearchStrategy[Mutation] = st.one_of(
    st.builds(Create, numbers, names, fresh, modes, sizes, sizes, times),
    st.builds(Link, numbers, numbers, names, times),
    st.builds(Remove, numbers, names, st.booleans(), times),
    st.builds(Rename, numbers, names, numbers, names, st.sampled_from([0, 1, 2, 7, -1]), times),
    st.builds(Write, numbers, sizes, sizes, segments, sizes, st.binary(max_size=20), times),
    st.builds(SetAttributes, numbers, st.none(), st.none(), st.none(), sizes, times, times, times),
    st.builds(Allocate, numbers, sizes, sizes, st.sampled_from([0, 1, 3, 16, 99]), times),
    st.builds(SetXattr, numbers, names, st.binary(max_size=5), times),
    st.builds(Share, numbers, sizes, sizes, extents, times),
    st.builds(Reap, st.lists(numbers, max_size=2).map(tuple)),
)


def alarm(*_: object) -> None:
    raise TimeoutError("it hangs")


def look_at_everything(path: Path) -> None:
    """Opens, folds, walks and reads; whatever is wrong has to be an error of ours."""
    store = Store.open(path)
    workspace = None
    try:
        workspace = Workspace(store, "w")  # type: ignore[arg-type]
        branch = workspace.open_branch("main")
        for _, number, inode in branch.tree.walk():
            branch.tree.paths(number)
            if inode.is_file:
                branch.read(number, 0, 10_000)
                branch.read(number, 2**62, 10)
        workspace.snapshot(branch)
    except PyiError:
        pass
    finally:
        if workspace is not None:
            workspace.close()
        store.close()


def judged(path: Path) -> None:
    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(SECONDS)
    try:
        check_directory(path, verify_data=True)
        look_at_everything(path)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def restored(template: Path, scratch: Path) -> Path:
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(template, scratch)
    return scratch


@given(hostile=st.lists(mutations, min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_malicious_record_is_an_error_of_ours(
    template: Path, tmp_path: Path, hostile: list[Mutation]
) -> None:
    store = restored(template, tmp_path / "copy")
    journal = max(store.glob("layers/*/*/journal"), key=lambda file: file.stat().st_size)
    data = journal.read_bytes()
    seed = journal_seed(int(journal.parent.name, 16))  # type: ignore[arg-type]
    for mutation in hostile:
        try:
            payload = encode_mutation(mutation)
        except OverflowError:
            return
        data += encode_frame(payload, len(data), seed)
    journal.write_bytes(data)
    judged(store)
