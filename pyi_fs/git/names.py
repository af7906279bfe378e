"""Names that git refuses: what `git fsck --strict` and checkout call `.git`, on any filesystem.

Follows git's `is_ntfs_dotgit`, `is_hfs_dotgit` and `is_ntfs_dot_generic` (path.c, utf8.c), which
fsck and checkout apply on every platform: a tree with such a name is refused everywhere, because
somebody may check it out on Windows or macOS.
"""

import re

from pyi_fs.model.inode import Inode

# Code points that HFS+ ignores when it compares names (git's utf8.c).
_HFS_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
# These two are no characters, and malformed to git.
_HFS_END = re.compile("[\ufffe\uffff]")
_NTFS_DOT_GIT = re.compile(rb"(?:\.git|git~1)[. ]*(?:[\\:].*)?", re.IGNORECASE | re.DOTALL)
_NTFS_END = re.compile(rb"[. ]*(?::.*)?", re.DOTALL)
# NTFS's short name when many names begin alike: some letters of a hash that depends on the name,
# and a number; eight characters.
_NTFS_HASHED = re.compile(rb"([^~]{0,6})~[1-9][0-9]*")


def is_dot_git(name: bytes) -> bool:
    """Returns whether git takes a name for `.git`: nothing there or below can be in a git tree."""
    if _hfs(name) == ".git":
        return True
    # fsck and checkout look behind each backslash too: on Windows it separates directories.
    return any(_NTFS_DOT_GIT.fullmatch(part) for part in _after_backslashes(name))


def has_dot_git(path: bytes) -> bool:
    """Returns whether a component of a path is one that git takes for `.git`."""
    return any(is_dot_git(name) for name in path.split(b"/"))


def refusal(name: bytes, inode: Inode) -> str | None:
    """Returns why git refuses a file of that name, as a plural noun; None if it takes it."""
    if is_dot_git(name):
        return "names that git takes for .git"
    # git reads these two itself: fsck wants a file, checkout refuses a symlink as .gitmodules.
    if not inode.is_file and _is_like(name, b"gitmodules", b"gi7eba"):
        return "things called .gitmodules that are no file"
    if inode.is_directory and _is_like(name, b"gitattributes", b"gi7d29"):
        return "directories called .gitattributes"
    return None


def _is_like(name: bytes, word: bytes, hashed: bytes) -> bool:
    if _hfs(name) == "." + word.decode():
        return True
    return any(_is_ntfs(part.lower(), word, hashed) for part in _after_backslashes(name))


def _is_ntfs(name: bytes, word: bytes, hashed: bytes) -> bool:
    if name.startswith(b"." + word) and _NTFS_END.fullmatch(name, len(word) + 1):
        return True
    if name[:7] == word[:6] + b"~" and name[7:8] in (b"1", b"2", b"3", b"4"):
        return _NTFS_END.fullmatch(name, 8) is not None
    found = _NTFS_HASHED.fullmatch(name, 0, 8)
    if found is None or len(name) < 8 or not hashed.startswith(found[1]):
        return False
    return _NTFS_END.fullmatch(name, 8) is not None


def _hfs(name: bytes) -> str:
    """Returns a name as git compares it for HFS+: for git it ends where it is no UTF-8."""
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        text = name[: error.start].decode()
    text = _HFS_END.split(text, maxsplit=1)[0]
    return _HFS_IGNORED.sub("", text).lower()


def _after_backslashes(name: bytes) -> list[bytes]:
    if b"\\" not in name:
        return [name]
    starts = [0, *(match.end() for match in re.finditer(rb"\\", name))]
    return [name[start:] for start in starts]
