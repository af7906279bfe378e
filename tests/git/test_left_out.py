"""What is left out is counted, and named a few times."""

from pyi_fs.git.left_out import PATHS_MAX, LeftOut


def test_all_are_counted_and_the_first_are_named():
    left_out = LeftOut()
    for index in range(20):
        left_out.add("FIFOs", b"f%d" % index)
    left_out.add("sockets", b"s")
    assert left_out.counts == {"FIFOs": 20, "sockets": 1}
    assert left_out.paths["FIFOs"] == [b"f%d" % index for index in range(PATHS_MAX)]


def test_a_path_is_named_once():
    left_out = LeftOut()
    left_out.add("FIFOs", b"f")
    left_out.add("FIFOs", b"f")
    assert left_out.paths == {"FIFOs": [b"f"]}
