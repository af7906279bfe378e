"""Why requests were refused, by user: what `.pyi/error` tells.

Bounded; the longest unused goes first.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pyi_fs.errors import PyiError

# One sentence for each user of a mount; a mount has one or two.
REFUSED_USERS_MAX = 64
# A sentence quotes at most a path and a name.
SENTENCE_BYTES_MAX = 8192


class Refusals:
    """The last refusal of each user."""

    def __init__(self) -> None:
        """Begins with none."""
        self._sentences: dict[int, bytes] = {}

    def of(self, uid: int) -> bytes:
        """Returns the user's last refusal as one line; empty if there was none."""
        return self._sentences.get(uid, b"")

    @contextmanager
    def noted(self, uid: int) -> Iterator[None]:
        """Keeps the sentence of what is raised inside, and lets it through."""
        try:
            yield
        except (PyiError, OSError) as error:
            self.note(uid, error)
            raise

    def note(self, uid: int, error: PyiError | OSError) -> None:
        """Keeps the sentence of a refusal."""
        self._sentences.pop(uid, None)
        self._sentences[uid] = sentence(error)
        if len(self._sentences) > REFUSED_USERS_MAX:
            del self._sentences[next(iter(self._sentences))]


def sentence(error: PyiError | OSError) -> bytes:
    """Returns an error's message as one line of UTF-8 with its newline."""
    if isinstance(error, OSError):
        text = f"the store could not do it: {error.strerror or error}"
    else:
        text = str(error) or type(error).__name__
    return (
        " ".join(text.splitlines()).encode("utf-8", "backslashreplace")[:SENTENCE_BYTES_MAX] + b"\n"
    )
