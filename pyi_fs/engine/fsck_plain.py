"""Checks plain files: names, and with `verify_data` every byte. Part of `engine/fsck.py`.

They are a cache: what is wrong with one is never a loss, but mounts may be reading it.
"""

from pyi_fs.engine.findings import Report, is_young
from pyi_fs.store.plain_files import LOCK, PLAIN, PlainFiles, list_plain
from pyi_fs.store.storage import TEMPORARY_SUFFIX, Storage


def examine_plain(storage: Storage, report: Report, *, verify_data: bool) -> None:
    """Looks at every plain file, at its name or at its bytes."""
    known = {file.path: file for file in list_plain(storage)}
    for directory in storage.list(PLAIN):
        path = f"{PLAIN}/{directory}"
        try:
            names = storage.list(path)
        except NotADirectoryError:
            report.add("warning", "stray", path, "not a plain file")
            continue
        for name in names:
            if f"{path}/{name}" not in known and name != LOCK:
                _examine_other(storage, report, f"{path}/{name}")
    files = PlainFiles(storage)
    for path, file in known.items() if verify_data else ():
        report.looking_at(path)
        with report.examining("plain", path):
            try:
                is_whole = files.is_whole(file)
            except FileNotFoundError:
                # Evicted meanwhile.
                continue
            if not is_whole:
                text = "has other bytes than its name says: mounts that have it open read them"
                report.add("error", "plain", path, text)


def _examine_other(storage: Storage, report: Report, path: str) -> None:
    if not path.endswith(TEMPORARY_SUFFIX):
        if storage.exists(path):
            report.add("warning", "stray", path, "not a plain file")
    elif not is_young(storage.host_path(path)):
        report.add("note", "stray", path, "a plain file half made: left by a crash")
