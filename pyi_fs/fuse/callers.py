"""What the kernel says of a thread that waits for an answer (proc(5))."""

_SIGKILL_BIT = 1 << 8


def is_dying(thread: int) -> bool:
    """Returns whether a thread has SIGKILL pending: Linux marks every fatal signal so."""
    try:
        with open(f"/proc/{thread}/status", "rb") as status:
            # Not `splitlines`: a thread may have a carriage return in its name.
            lines = status.read().split(b"\n")
    except OSError:
        # Not of our pid namespace, or gone.
        return False
    pending = [line.split()[1] for line in lines if line.startswith((b"SigPnd:", b"ShdPnd:"))]
    return any(int(mask, 16) & _SIGKILL_BIT for mask in pending)
