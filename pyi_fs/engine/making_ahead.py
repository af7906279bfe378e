"""Has a few layers made ahead in a thread, whenever one was opened."""

import trio

from pyi_fs.store.spare_layers import SpareLayers


async def keep_spares(spares: SpareLayers) -> None:
    """Runs until cancelled. Nothing happens before the first layer is opened."""
    token = trio.lowlevel.current_trio_token()
    waiting = [trio.Event()]

    def tell() -> None:
        if trio.lowlevel.in_trio_run():
            waiting[0].set()
        else:
            token.run_sync_soon(lambda: waiting[0].set())

    spares.on_taken = tell
    while True:
        await waiting[0].wait()
        # Who takes one meanwhile has it made afterwards.
        waiting[0] = trio.Event()
        await trio.to_thread.run_sync(spares.refill)
