r"""What is read from control files: values in, bytes out. Pure.

Names in a diff are quoted as git quotes them with its default `core.quotePath`: plain if every byte
is printable ASCII other than `"` and `\`, else in double quotes with C escapes and three octal
digits for the rest (quote.c of git).
"""

import json
from collections.abc import Iterable, Mapping

from pyi_fs import limits
from pyi_fs.errors import FileTooLargeError
from pyi_fs.model.diff import Change

_ESCAPES = {
    7: b"\\a",
    8: b"\\b",
    9: b"\\t",
    10: b"\\n",
    11: b"\\v",
    12: b"\\f",
    13: b"\\r",
    34: b'\\"',
    92: b"\\\\",
}
_QUOTED = [
    _ESCAPES.get(byte) or (bytes([byte]) if 32 <= byte < 127 else b"\\%03o" % byte)
    for byte in range(256)
]
# `json.dumps` with an option makes an encoder at each call, which takes longer than the encoding.
_encode = json.JSONEncoder(ensure_ascii=False).encode
_PLAIN = bytes(byte for byte in range(32, 127) if byte not in _ESCAPES)


def line(text: str) -> bytes:
    """Returns a text as one line; nothing for no text."""
    return text.encode("utf-8", "backslashreplace") + b"\n" if text else b""


def quoted(path: bytes) -> bytes:
    """Returns a path as git's `quote_c_style` writes it."""
    if not path.strip(_PLAIN) and not path.translate(None, _PLAIN):
        return path
    return b'"' + b"".join([_QUOTED[byte] for byte in path]) + b'"'


def diff_lines(changes: Iterable[Change]) -> bytes:
    """Returns one `LETTER<TAB>PATH` a line; a rename is `R<TAB>OLD<TAB>NEW`."""
    parts = []
    for letter, path, old_path in changes:
        head = b"%s\t" % letter.encode()
        parts.append(
            head
            + (quoted(old_path) + b"\t" if old_path is not None else b"")
            + quoted(path)
            + b"\n"
        )
    return bounded(parts)


def diff_records(changes: Iterable[Change]) -> bytes:
    r"""Returns the same, each path as it is and ended by NUL.

    Records are `LETTER<TAB>PATH\0`, that of a rename `R<TAB>OLD\0NEW\0`.
    """
    parts = []
    for letter, path, old_path in changes:
        head = b"%s\t" % letter.encode()
        parts.append(head + (old_path + b"\0" if old_path is not None else b"") + path + b"\0")
    return bounded(parts)


def json_line(fields: Mapping[str, object]) -> bytes:
    """Returns one JSON object on one line."""
    return _encode(fields).encode("utf-8", "backslashreplace") + b"\n"


def bounded(parts: Iterable[bytes]) -> bytes:
    """Returns the parts joined; `FileTooLargeError` if that is more than an answer may be."""
    answer = b"".join(parts)
    if len(answer) > limits.CONTROL_ANSWER_BYTES_MAX:
        raise FileTooLargeError(
            f"the answer has {len(answer)} bytes, more than {limits.CONTROL_ANSWER_BYTES_MAX}: "
            "ask the Python API"
        )
    return answer
