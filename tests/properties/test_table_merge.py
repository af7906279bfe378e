"""A table that is merged of an older one and changes has the bytes of one written anew."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs.format.table import Table
from pyi_fs.format.table_merge import encode_tree
from pyi_fs.format.table_writer import encode_table
from pyi_fs.model import extent
from pyi_fs.model.edit import apply
from pyi_fs.model.extent import ExtentList
from pyi_fs.model.tree import over
from tests.properties.test_oracle import graft_between
from tests.support.model_pair import Pair
from tests.support.strategies import mutations

pytestmark = pytest.mark.slow


def sealed(extents: ExtentList) -> ExtentList:
    """Returns an extent list as if every second segment had been sealed."""
    return extent.from_extents(
        [
            one._replace(kind=extent.CHUNK, source=b"c" * 32)
            if one.kind == extent.SCRATCH and one.segment % 2
            else one
            for one in extent.iterate(extents)
        ]
    )


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_merging_makes_the_same_bytes(data: st.DataObject) -> None:
    """Whatever happened since the older table, several times over, also to what was reaped."""
    pair = Pair()
    kept, kept_oracle = pair.tree, pair.oracle.copy()
    for step in range(data.draw(st.integers(10, 60), label="steps")):
        what = data.draw(st.integers(0, 14), label="what")
        if what == 0:
            kept, kept_oracle = pair.tree, pair.oracle.copy()
        elif what == 1:
            pair.tree = apply(pair.tree, graft_between(pair.tree, kept))
            pair.oracle = kept_oracle.copy()
        elif what in (2, 3):
            # Between two tables scratch is not always sealed.
            translate = sealed if what == 2 else lambda extents: extents
            expected = b"".join(encode_table(pair.tree, translate))
            assert b"".join(encode_tree(pair.tree, translate)) == expected
            # The contents that the pair compares are in scratch.
            pair.tree = over(Table(b"".join(encode_table(pair.tree))))
            kept, kept_oracle = pair.tree, pair.oracle.copy()
        else:
            pair.step(data.draw(mutations(pair.tree, pair.content, 1000 + step), label="mutation"))
    expected = b"".join(encode_table(pair.tree, sealed))
    assert b"".join(encode_tree(pair.tree, sealed)) == expected
