"""Checks the files of every layer, each by itself: journal, base, runs, maps.

Part of `engine/fsck.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from pyi_fs.engine.findings import Report, is_young
from pyi_fs.engine.references import open_base
from pyi_fs.errors import CorruptSegmentError
from pyi_fs.format.record import LayerHeader, decode_header, decode_mutation, frames, tail_of
from pyi_fs.ids import LayerId, layer_name, segment_id
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.store import layout, runs, sealmap
from pyi_fs.store.journal import journal_seed, read_synced
from pyi_fs.store.promotion import is_of_boot
from pyi_fs.store.storage import TEMPORARY_SUFFIX, Storage

ChunkProblem = Callable[[Extent], str | None]
"""Returns what is wrong with the chunk that an extent is in, or None."""


class Journal(NamedTuple):
    """A journal as it was found: its header, and where its frames stop being valid.

    `promised`: what lies beyond it was never synced, and another boot has been since; who opens the
    branch next cuts it off where its data is missing.
    """

    header: LayerHeader
    end: int
    promised: int


class _Scan(NamedTuple):
    header: LayerHeader | None
    end: int
    data: bytes
    missed: set[int]
    complaint: str


def scan_journals(
    storage: Storage,
    report: Report,
    layers: Iterable[LayerId],
    wanted: Mapping[LayerId, set[int]],
    boot: str,
) -> dict[LayerId, Journal]:
    """Returns the journals that have a header.

    Reports frames that are not valid, and `wanted` positions that are no frame's end.
    """
    found: dict[LayerId, Journal] = {}
    for layer in layers:
        path = layout.journal(layer)
        report.looking_at(path)
        with report.examining("journal", path):
            try:
                scan = _scanned(storage, layer, wanted.get(layer, set()))
            except FileNotFoundError:
                text = "no journal: a layer being made, or left by a crash"
                report.add("note", "journal", path, text)
                continue
            if scan.header is None:
                is_torn = not scan.complaint and tail_of(scan.data, 0) != "damage"
                if not scan.data and not wanted.get(layer):
                    # Made ahead (`store/spare_layers.py`), or being made.
                    continue
                if is_torn and not wanted.get(layer):
                    text = "no whole header: a layer being made, or left by a crash"
                    report.add("note", "journal", path, text)
                else:
                    report.add("error", "journal", path, f"no valid header; {scan.complaint}")
                continue
            is_current = is_of_boot(storage, layer, scan.header, boot)
            promised = scan.end if is_current else read_synced(storage, layer)
            found[layer] = Journal(scan.header, scan.end, promised)
            if scan.header.layer != layer:
                report.add("error", "journal", path, f"is of layer {layer_name(scan.header.layer)}")
            _judge(storage, report, layer, scan, is_current=is_current)
    return found


def read_headers(storage: Storage, layers: Iterable[LayerId]) -> dict[LayerId, LayerHeader]:
    """Returns the headers that can be read; the others are the business of `scan_journals`."""
    found = {}
    silent = Report()
    for layer in layers:
        with silent.examining("journal", ""):
            file = storage.open_read(layout.journal(layer))
            try:
                data = file.read_at(0, 4096)
            finally:
                file.close()
            for _, payload in frames(data, journal_seed(layer)):
                found[layer] = decode_header(payload)
                break
    return found


def _scanned(storage: Storage, layer: LayerId, wanted: set[int]) -> _Scan:
    scan = _scan(storage, layer, wanted)
    # A writer may have been in the middle of it, or a position was noted after the journal was
    # read.
    return scan if scan.end == len(scan.data) else _scan(storage, layer, wanted)


def _scan(storage: Storage, layer: LayerId, wanted: set[int]) -> _Scan:
    data = storage.read(layout.journal(layer))
    header: LayerHeader | None = None
    missed = set(wanted)
    end = 0
    for stop, payload in frames(data, journal_seed(layer)):
        try:
            if header is None:
                header = decode_header(payload)
            else:
                decode_mutation(payload)
        except Exception as error:  # noqa: BLE001
            # Its checksum is right, so it was written so: by a later version or by a bug.
            return _Scan(header, end, data, missed, f"at {end}: {error}")
        missed.discard(stop)
        end = stop
    return _Scan(header, end, data, missed, "")


def _judge(
    storage: Storage, report: Report, layer: LayerId, scan: _Scan, *, is_current: bool
) -> None:
    """Tells a torn tail and what a power loss took, which are normal, from damage."""
    assert scan.header is not None, "BUG: a layer without a header is judged elsewhere"
    path = layout.journal(layer)
    synced = read_synced(storage, layer)
    is_lossy = not is_current and scan.end >= synced
    lost = sorted(offset for offset in scan.missed if offset > scan.end)
    for offset in sorted(scan.missed - set(lost)):
        report.add("error", "journal", path, f"position {offset} is no end of a record")
    tail = tail_of(scan.data, scan.end)
    text = f"records stop being valid at {scan.end} of {len(scan.data)} (synced to {synced})"
    if scan.complaint:
        report.add("error", "journal", path, f"{text}: {scan.complaint}")
    elif scan.end < synced or (lost and not is_lossy) or (tail == "damage" and not is_lossy):
        report.add("error", "journal", path, text)
    elif lost or tail == "damage":
        report.add("warning", "journal", path, f"{text}: lost with another boot, never synced")
    elif tail == "torn":
        report.add("note", "journal", path, f"a torn record at {scan.end}, cut off by its writer")


def examine_layer(
    storage: Storage, report: Report, layer: LayerId, chunk_problem: ChunkProblem
) -> None:
    """Checks base, runs and maps of a layer, and that nothing else is in its directory."""
    directory = layout.layer_directory(layer)
    for name in storage.list(directory):
        path = f"{directory}/{name}"
        report.looking_at(path)
        with report.examining("layer", path):
            try:
                _examine_file(storage, report, layer, name, chunk_problem)
            except FileNotFoundError:
                # Sealed, given back or collected since it was listed; what needs it will say so.
                continue


def _examine_file(
    storage: Storage, report: Report, layer: LayerId, name: str, chunk_problem: ChunkProblem
) -> None:
    path = f"{layout.layer_directory(layer)}/{name}"
    if name == "base":
        table = open_base(storage, layer)
        if table is not None:
            table.verify()
    elif layout.segment_of(name, "runs-") is not None:
        try:
            runs.decode(storage.read(path), path)
        except CorruptSegmentError as error:
            text = f"{error}; the journal has the same checksums"
            report.add("warning", "runs", path, text)
    elif (index := layout.segment_of(name, "map-")) is not None:
        _examine_map(storage, report, layout.seal_map(segment_id(layer, index)), chunk_problem)
    elif name.endswith(TEMPORARY_SUFFIX):
        if not is_young(storage.host_path(path)):
            report.add("note", "stray", path, "half written: left by a crash")
    elif name not in {"journal", "synced", "noted", "pins"} and layout.segment_of(name) is None:
        report.add("warning", "stray", path, "not a file of a layer")


def _examine_map(storage: Storage, report: Report, path: str, chunk_problem: ChunkProblem) -> None:
    for piece in extent.iterate(sealmap.decode(storage.read(path), path)):
        problem = "not a chunk" if piece.kind != extent.CHUNK else chunk_problem(piece)
        if problem is not None:
            text = f"bytes {piece.file_offset} to {piece.end}: {problem}"
            report.add("error", "map", path, text)
