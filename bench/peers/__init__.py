"""The peers by name."""

from bench.peers.base import Peer
from bench.peers.places import Bindfs, Btrfs, FuseOverlay, Native, NotTried, Ours, Overlay

OURS = "pyi-fs"
WRITEBACK = "pyi-fs --writeback"


def places() -> dict[str, Peer]:
    """Returns every peer that is a place to work, ours first."""
    peers = [
        Ours(),
        Ours(WRITEBACK, "--writeback"),
        Native(),
        Overlay(),
        FuseOverlay(),
        Bindfs(),
        Btrfs(),
        NotTried("s3ql", "mount.s3ql"),
        NotTried("agentfs", "agentfs"),
        NotTried("branchfs", "branchfs"),
        NotTried("juicefs", "juicefs"),
    ]
    return {peer.name: peer for peer in peers}
