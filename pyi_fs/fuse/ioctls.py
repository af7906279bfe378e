"""Control commands on any open file or directory: to the `.pyi` of the view it is in."""

from pyi_fs.control import ioctls
from pyi_fs.control.view import View
from pyi_fs.fuse.controls import ControlHandlers
from pyi_fs.fuse.handles import ControlFile, ControlListing, HandleId
from pyi_fs.fuse.state import Caller, MountState


class IoctlHandlers:
    """The ioctls that a mount knows."""

    def __init__(self, state: MountState, controls: ControlHandlers) -> None:
        """Works on a mount's state."""
        self._state = state
        self._controls = controls

    async def command(self, handle: HandleId, number: int, text: bytes, caller: Caller) -> bytes:
        """Does a command of `control.ioctls.FILES` and returns its answer."""
        name = ioctls.FILES[number]
        view = self._view(handle)
        return await self._controls.ask(view, name, text, ioctls.TEXT_BYTES, caller.uid)

    def command_now(
        self, handle: HandleId, number: int, text: bytes, caller: Caller
    ) -> bytes | None:
        """Does a command as `command`, or returns None and does nothing if that has to wait."""
        view, size = self._view(handle), ioctls.TEXT_BYTES
        return self._controls.ask_now(view, ioctls.FILES[number], text, size, caller.uid)

    def done(self, handle: HandleId, number: int) -> bytes:
        """Returns the answer of a command that is known to be done, and not what it answered."""
        return self._controls.last_line(self._view(handle)) if number == ioctls.SNAPSHOT else b""

    def _view(self, handle_id: HandleId) -> View:
        handle = self._state.handles.get(handle_id)
        if isinstance(handle, (ControlFile, ControlListing)):
            return self._controls.view(handle.node)
        return handle.view
