"""IOCTL, translated to the handlers and back; the direct transport's half.

The kernel reads from the command's number how much to hand in and out, and makes no second attempt
(fs/fuse/ioctl.c, "restricted"). It hands the data out also when the result is an error: so a
refusal brings its sentence along.
"""

import errno

from pyi_fs.control import ioctls
from pyi_fs.control.refusals import sentence
from pyi_fs.errors import RequestError
from pyi_fs.fuse import protocol_replies as replies
from pyi_fs.fuse import protocol_requests as requests
from pyi_fs.fuse.direct_requests import Answer, Caller, Command, Later
from pyi_fs.fuse.handles import HandleId
from pyi_fs.fuse.ioctls import IoctlHandlers
from pyi_fs.ids import Buffer, NodeId


def ioctl(handlers: IoctlHandlers, node: NodeId, caller: Caller, body: Buffer) -> Answer:  # noqa: ARG001
    """Answers IOCTL: `ENOTTY` to what is no command of ours."""
    handle, number, data, room = requests.ioctl(body)
    if number not in ioctls.FILES:
        return errno.ENOTTY
    text = ioctls.text(bytes(data))

    def answered(found: bytes) -> bytes:
        return replies.ioctl(0, ioctls.array(found)[:room])

    def refused(error: RequestError) -> bytes:
        return replies.ioctl(-error.errno, ioctls.array(sentence(error))[:room])

    async def answer() -> Buffer:
        try:
            return answered(await handlers.command(HandleId(handle), number, text, caller))
        except RequestError as error:
            return refused(error)

    try:
        found = handlers.command_now(HandleId(handle), number, text, caller)
    except RequestError as error:
        return Command(refused(error))
    return Later(answer) if found is None else Command(answered(found))


def ioctl_done(handlers: IoctlHandlers, body: Buffer, kept: bytes | None) -> bytes:
    """Returns the answer to an IOCTL that was done by a server that is dead.

    `kept`: what it was to be answered, None if that is not known.
    """
    handle, number, _, room = requests.ioctl(body)
    found = handlers.done(HandleId(handle), number) if kept is None else kept
    return replies.ioctl(0, ioctls.array(found)[:room])
