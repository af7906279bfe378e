"""Peers that are a place to work: the disk itself, and filesystems stacked on it."""

from pathlib import Path

from bench.peers.base import BIN, Peer, lacks, lacks_loop, run


class Native(Peer):
    """The disk below, as it is."""

    name = "ext4"

    def start(self, base: Path) -> Path:
        """Returns a plain directory."""
        work = base / "work"
        work.mkdir()
        return work


class Ours(Peer):
    """A workspace, mounted by `pyi-mount`."""

    def __init__(self, name: str = "pyi-fs", *options: str) -> None:
        """Names it and says how it is mounted."""
        self.name, self.options = name, options

    def start(self, base: Path) -> Path:
        """Mounts a new workspace."""
        self.store, self.work = base / "store", base / "work"
        self.work.mkdir()
        self.command("pyi-mount", *self.options, "work", str(self.work))
        return self.work

    def command(self, name: str, *words: str) -> str:
        """Runs one of our commands on this store; returns what it printed."""
        return run([BIN / name, "--store", self.store, *words])

    def end(self) -> None:
        """Unmounts."""
        run([BIN / "pyi-mount", "--unmount", self.work])


class Overlay(Peer):
    """The kernel's overlayfs over an empty lower directory."""

    name = "overlayfs"

    def missing(self) -> str | None:
        """Needs root to mount."""
        return lacks("mount", root=True)

    def layers(self, base: Path) -> tuple[Path, str]:
        """Makes the directories; returns the mountpoint and the options."""
        lower, upper, scratch, work = (base / part for part in ("lower", "upper", "tmp", "work"))
        for directory in (lower, upper, scratch, work):
            directory.mkdir(exist_ok=True)
        return work, f"lowerdir={lower},upperdir={upper},workdir={scratch}"

    def start(self, base: Path) -> Path:
        """Mounts it."""
        self.work, options = self.layers(base)
        run(["mount", "-t", "overlay", "overlay", "-o", options, self.work])
        return self.work

    def end(self) -> None:
        """Unmounts."""
        run(["umount", self.work])


class FuseOverlay(Overlay):
    """fuse-overlayfs, a C program on libfuse."""

    name = "fuse-overlayfs"

    def missing(self) -> str | None:
        """A Debian package."""
        return lacks("fuse-overlayfs")

    def start(self, base: Path) -> Path:
        """Mounts it."""
        self.work, options = self.layers(base)
        run(["fuse-overlayfs", "-o", options, self.work])
        return self.work


class Bindfs(Peer):
    """bindfs: a mirror on libfuse, as little as a FUSE filesystem in C can do."""

    name = "bindfs"

    def missing(self) -> str | None:
        """A Debian package."""
        return lacks("bindfs")

    def start(self, base: Path) -> Path:
        """Mounts it."""
        below, self.work = base / "below", base / "work"
        below.mkdir()
        self.work.mkdir()
        run(["bindfs", below, self.work])
        return self.work

    def end(self) -> None:
        """Unmounts."""
        run(["umount", self.work])


class Btrfs(Peer):
    """btrfs on a loop device, in one subvolume."""

    name = "btrfs"
    size = 8 << 30

    def missing(self) -> str | None:
        """Needs the kernel's btrfs and root."""
        if "btrfs" not in Path("/proc/filesystems").read_text():
            return "the kernel has no btrfs"
        return lacks("mkfs.btrfs", "btrfs", root=True) or lacks_loop()

    def start(self, base: Path) -> Path:
        """Makes the image, mounts it, makes the subvolume."""
        image, self.top = base / "image", base / "top"
        self.top.mkdir()
        with image.open("wb") as file:
            file.truncate(self.size)
        run(["mkfs.btrfs", "-q", image])
        run(["mount", "-o", "loop,noatime", image, self.top])
        run(["btrfs", "subvolume", "create", self.top / "work"])
        return self.top / "work"

    def end(self) -> None:
        """Unmounts; the loop device goes with it."""
        run(["umount", self.top])


class NotTried(Peer):
    """A peer nobody could run here yet: named in the report so that it is not forgotten."""

    def __init__(self, name: str, command: str) -> None:
        """Names it and its executable."""
        self.name, self.command = name, command

    def missing(self) -> str | None:
        """Always says why."""
        return lacks(self.command) or "found, but how to set it up has not been tried here"

    def start(self, base: Path) -> Path:
        """Never called."""
        raise NotImplementedError(self.name)
