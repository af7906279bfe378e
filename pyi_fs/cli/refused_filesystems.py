"""Filesystems on which a store is refused, by their types in mountinfo.

A store needs of its disk that `flock` keeps every other process away for as long as it is held,
that a mapping shows what is in the file, that a rename replaces a name at once and for good, and
that what was synced stays. Refused is:

- what has its files on another machine. Locks are this machine's alone there (9p, virtiofs, AFS,
  OCFS2 with its usual stack, Lustre and BeeGFS unless told otherwise, most that are FUSE), or are
  given to somebody else when the server has not heard of their holder for a while (NFS, SMB, Ceph):
  then a branch has two writers;
- what shows other directories as one: a file that is written for the first time becomes another
  one, and who has mapped or locked the first keeps that.

Not refused: GFS2, whose locks and mappings hold across machines. A type that is not known may be
anything, also a local disk that was not there when this was written.

Source: include/uapi/linux/magic.h for the kernel's own; the manual pages of each, as of 2026.
"""

from pyi_fs.cli.mountinfo import FILESYSTEM_TYPE

_OTHER_MACHINES = {
    "NFS": ("nfs", "nfs4", "fuse.nfs", "fuse.fuse-nfs"),
    "SMB": ("cifs", "smb3", "smbfs", "fuse.smbnetfs", "fuse.usmb"),
    "Lustre": ("lustre",),
    "Ceph": ("ceph", "fuse.ceph", "fuse.ceph-fuse"),
    "9p": ("9p",),
    "a directory of the virtual machine's host": (
        *("virtiofs", "vboxsf", "prl_fs", "vmhgfs", "fuse.vmhgfs-fuse", "fuse.virtiofs"),
    ),
    "AFS": ("afs",),
    "Coda": ("coda",),
    "NetWare": ("ncpfs",),
    "OCFS2": ("ocfs2",),
    "OrangeFS": ("pvfs2", "orangefs"),
    "GPFS": ("gpfs", "mmfs"),
    "BeeGFS": ("beegfs", "beegfs_nodev"),
    "PanFS": ("panfs",),
    "GlusterFS": ("glusterfs", "fuse.glusterfs"),
    "sshfs": ("fuse.sshfs",),
    "WebDAV": ("davfs", "davfs2", "fuse.davfs", "fuse.davfs2", "fuse.wdfs"),
    "FTP": ("fuse.curlftpfs",),
    "JuiceFS": ("fuse.juicefs",),
    "MooseFS": ("fuse.mfs", "fuse.lizardfs", "fuse.saunafs", "fuse.mfsmount"),
    "SeaweedFS": ("fuse.seaweedfs",),
    "an object store": (
        *("fuse.s3fs", "fuse.goofys", "fuse.mount-s3", "fuse.mountpoint-s3", "fuse.geesefs"),
        *("fuse.gcsfuse", "fuse.blobfuse", "fuse.blobfuse2", "fuse.ossfs", "fuse.rclone"),
        *("fuse.s3ql", "fuse.objectivefs", "fuse.hdfs", "fuse.fuse_dfs", "fuse.hadoop"),
    ),
    "files of the desktop's network": ("fuse.gvfsd-fuse", "fuse.gvfs-fuse-daemon"),
}
_UNIONS = {
    "an overlay": ("overlay", "overlayfs", "fuse.fuse-overlayfs", "fuse.overlayfs"),
    "a union of directories": (
        *("aufs", "unionfs", "fuse.unionfs", "fuse.unionfs-fuse", "fuse.mergerfs", "mhddfs"),
        *("fuse.mhddfs",),
    ),
}

NO_STORE_ON = {
    FILESYSTEM_TYPE: "a mounted workspace",
    **{type_: name for name, types in (_OTHER_MACHINES | _UNIONS).items() for type_ in types},
}
"""Type -> what people call it."""
