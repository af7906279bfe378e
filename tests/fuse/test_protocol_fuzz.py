"""Random messages to the direct transport; `tests/support/fuse_fuzzer.py` says what must hold."""

import logging

import pytest

from tests.support.direct_rig import DirectRig
from tests.support.fuse_fuzzer import fuzz


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_kernel_sends_is_answered_once_and_harms_nothing(
    tmp_path, seed, is_long, caplog
):
    caplog.set_level(logging.ERROR)
    rig = DirectRig(tmp_path / "store")
    found = await fuzz(rig, seed, 1_000_000 if is_long else 5_000)
    rig.close()
    assert "BUG" not in caplog.text
    # It is no test if hardly anything succeeds.
    assert found["0"] > sum(found.values()) / 5
