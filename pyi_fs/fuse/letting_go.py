"""Gives up what was only looked at, so that others can have it.

Branches below `branches/`, which another process may want to write, and leases of snapshots, which
keep their space.

Looks when the kernel has let go of something and some time has passed; a mount that nobody uses is
never woken for it.
"""

import trio

from pyi_fs.fuse.state import MountState
from pyi_fs.fuse.translate import report


async def let_go_of_unused(state: MountState, seconds: float) -> None:
    """Gives up unused branches `seconds` after they came to be; runs until cancelled."""
    while True:
        await state.given_up.wait()
        await trio.sleep(seconds)
        state.given_up = trio.Event()
        try:
            is_waiting = let_go(state)
        except Exception as error:  # noqa: BLE001 - our mistake must not be the end of a mount
            report("BUG: letting go of branches", error)
            is_waiting = True
        if is_waiting:
            state.given_up.set()


def let_go(state: MountState) -> bool:
    """Gives up what nobody uses and is durable; returns whether some wait to become durable."""
    is_waiting = False
    for view in list(state.session.views.values()):
        branch = view.branch
        if branch is None or not view.number or not state.is_unused(view):
            continue
        # What is not synced would wait for the next opening of the branch.
        if branch.is_synced:
            state.session.let_go(view)
        else:
            is_waiting = True
    state.session.workspace.leases.keep_only(state.read_positions())
    state.let_go_of_gone()
    return is_waiting
