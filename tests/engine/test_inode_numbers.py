"""Fresh inode numbers: never twice, from ranges that grow."""

from pyi_fs import limits
from pyi_fs.engine.inode_numbers import InodeNumbers
from tests.support.engine_rig import opened, written


class Reserved:
    """Services that hand out ranges with gaps, as other processes' reservations make them."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self._end = 2

    def reserve_inodes(self, count):
        first = self._end + 7
        self._end = first + count
        self.ranges.append((first, self._end))
        return first, self._end


def test_numbers_come_from_the_ranges_in_order_and_never_twice():
    services = Reserved()
    numbers = InodeNumbers(services)  # type: ignore[arg-type]
    taken = [numbers.take() for _ in range(1000)]
    assert len(set(taken)) == 1000
    assert taken == sorted(taken)
    allowed = {number for first, end in services.ranges for number in range(first, end)}
    assert set(taken) <= allowed


def test_ranges_double_up_to_a_bound():
    services = Reserved()
    numbers = InodeNumbers(services)  # type: ignore[arg-type]
    for _ in range(3 * limits.INODE_RANGE_MAX):
        numbers.take()
    sizes = [end - first for first, end in services.ranges]
    assert sizes[:3] == [limits.INODE_RANGE_MIN << shift for shift in range(3)]
    assert max(sizes) == sizes[-1] == limits.INODE_RANGE_MAX


def test_two_branches_of_a_workspace_never_share_a_number(tmp_path):
    with opened(tmp_path / "store") as store, written(store, "w") as (workspace, main):
        workspace.make_branch("other", main)
        other = workspace.open_branch("other")
        taken = [branch.next_inode() for _ in range(600) for branch in (main, other)]
        assert len(set(taken)) == len(taken)
