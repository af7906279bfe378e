"""Cores that can be spared: one less than this process may use, by affinity and by quota."""

import pytest

from pyi_fs.fuse.spare_cores import spare_cores


@pytest.fixture
def spare(tmp_path, monkeypatch):
    """Gives a function: groups' files and what /proc/self/cgroup says, to cores of eight."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))

    def count(own, files):
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return spare_cores(tmp_path / "cgroup", tmp_path / "own")

    return count


@pytest.mark.parametrize(("cores", "spared"), [(1, 0), (2, 1), (64, 63)])
def test_one_less_than_this_process_may_use(monkeypatch, tmp_path, cores, spared):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    assert spare_cores(tmp_path, tmp_path / "none") == spared


@pytest.mark.parametrize(
    ("text", "spared"),
    [
        ("max 100000\n", 7),
        ("100000 100000\n", 0),
        ("199999 100000\n", 0),
        ("400000 100000\n", 3),
        ("1600000 100000\n", 7),
        ("50000 0\n", 7),
        ("what\n", 7),
    ],
)
def test_a_quota_counts_as_so_many_whole_cores(spare, text, spared):
    assert spare("0::/a/b\n", {"a/b/cpu.max": text}) == spared


def test_the_tightest_group_above_counts(spare):
    files = {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}
    assert spare("0::/a/b\n", files) == 2


def test_a_container_that_sees_its_own_group_as_the_root(spare):
    assert spare("0::/\n", {"cpu.max": "200000 100000\n"}) == 1


@pytest.mark.parametrize("mounted", ["cpu", "cpu,cpuacct"])
def test_version_one(spare, mounted):
    files = {
        f"{mounted}/x/cpu.cfs_quota_us": "300000\n",
        f"{mounted}/x/cpu.cfs_period_us": "100000\n",
        f"{mounted}/cpu.cfs_quota_us": "-1\n",
        f"{mounted}/cpu.cfs_period_us": "100000\n",
    }
    assert spare(f"9:name=systemd:/\n4:memory:/x\n1:{mounted}:/x\n0::/\n", files) == 2


def test_a_path_outside_of_what_is_shown_is_no_quota(spare):
    assert spare("0::/../other\n", {}) == 7
