"""Has a few layers made ahead in a thread, whenever one was opened."""

import trio

from pyi_fs.store.spare_layers import SpareLayers


async def keep_spares(spares: SpareLayers) -> None:
    """Runs until cancelled. Nothing happens before the first layer is opened."""
    token = trio.lowlevel.current_trio_token()
    while True:
        taken = trio.Event()

        def tell(taken: trio.Event = taken) -> None:
            if trio.lowlevel.in_trio_run():
                taken.set()
            else:
                token.run_sync_soon(taken.set)

        spares.on_taken = tell
        await taken.wait()
        await trio.to_thread.run_sync(spares.refill)
