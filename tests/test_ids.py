"""A segment's id holds its layer and its index, and both come back; names have a fixed width."""

import pytest

from pyi_fs.ids import (
    LayerId,
    Position,
    layer_name,
    segment_id,
    segment_index,
    segment_layer,
)

LARGEST_LAYER = LayerId((1 << 40) - 1)
LARGEST_INDEX = (1 << 24) - 1


@pytest.mark.parametrize("layer", [LayerId(0), LayerId(1), LayerId(1 << 39), LARGEST_LAYER])
@pytest.mark.parametrize("index", [0, 1, 255, LARGEST_INDEX])
def test_layer_and_index_come_back_from_a_segment_id(layer: LayerId, index: int) -> None:
    segment = segment_id(layer, index)
    assert segment_layer(segment) == layer
    assert segment_index(segment) == index


def test_a_segment_id_fits_the_u64_of_the_formats() -> None:
    assert segment_id(LARGEST_LAYER, LARGEST_INDEX) == (1 << 64) - 1


def test_segments_of_a_layer_are_ordered_by_index_and_before_those_of_the_next_layer() -> None:
    one, two = LayerId(1), LayerId(2)
    assert segment_id(one, 0) < segment_id(one, 1) < segment_id(one, LARGEST_INDEX)
    assert segment_id(one, LARGEST_INDEX) < segment_id(two, 0)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (LayerId(0), "0000000000"),
        (LayerId(0xAB), "00000000ab"),
        (LayerId(0x123456789A), "123456789a"),
        (LARGEST_LAYER, "ffffffffff"),
    ],
)
def test_a_layer_is_called_by_ten_lower_case_hex_digits(layer: LayerId, name: str) -> None:
    assert layer_name(layer) == name


def test_a_position_equals_the_pair_that_records_hold() -> None:
    assert Position(LayerId(7), 9) == (7, 9)
