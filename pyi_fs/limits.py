"""Every limit and tunable that is not part of a format, unit in the name, reason above it."""

# The kernel's own limit for a name; every tool assumes it.
NAME_BYTES_MAX = 255
# PATH_MAX less one: a symlink's target that Linux itself would refuse is refused.
SYMLINK_BYTES_MAX = 4095
# 1 TiB: what the issue promises; extents could hold more.
FILE_BYTES_MAX = 1 << 40
# As ext4: a number that tools know, and a bound on a link list kept in one record.
LINKS_MAX = 65_000
# As the kernel (XATTR_SIZE_MAX, XATTR_NAME_MAX, XATTR_LIST_MAX).
XATTR_VALUE_BYTES_MAX = 65_536
XATTR_NAME_BYTES_MAX = 255
XATTR_LIST_BYTES_MAX = 65_536
# Old 32-bit EDA helpers fail on larger inode numbers (EOVERFLOW from stat without large-file
# support).
INODE_NUMBER_MAX = (1 << 32) - 1

# As ext4 with inodes of 256 bytes: 1901 to 2446. Nanoseconds beyond 2554 would not fit an
# unsigned word of the formats.
TIME_NS_MIN = -(1 << 31) * 1_000_000_000
TIME_NS_MAX = ((1 << 34) - (1 << 31) - 1) * 1_000_000_000

# A run is the unit of checking scratch: a 4 KiB read from a long extent verifies at most this much
# (about 10 us).
RUN_BYTES_MAX = 64 * 1024
# Whole segments are given back by unlinking, the cheapest way; 64 MiB keeps few files per layer and
# frees soon.
SEGMENT_BYTES_MAX = 64 * 1024 * 1024
# Garbage ranges shorter than this are left to segment removal: a punch costs about as much as
# writing 64 KiB.
PUNCH_BYTES_MIN = 1 << 20
# When this much garbage could be given back but for a missing sync, a sync is made early.
GARBAGE_BYTES_MAX = 256 * 1024 * 1024

# Folding a frame costs 6-10 us: this bounds the fold of a branch, for which all programs of a mount
# wait when its server has died, to about a tenth of a second. Of a base of more than 200,000 inodes
# more may gather, one for so many of them: each has about 200 bytes in every table, so that a
# record costs no more than 4 KB of disk until a collection takes the tables that no fold needs.
FOLD_RECORDS_MIN = 10_000
FOLD_RECORDS_MAX = 50_000
FOLD_RECORD_INODES = 20
# Of the base tables on the way up from what is kept so many stay: the one that a fold begins with,
# and the one of which `pyi-fsck --repair` makes that anew should it be damaged.
TABLES_KEPT = 2
# An overlay smaller than this is never worth a table, one larger than this fraction of its base
# always is.
CHECKPOINT_INODES_MIN = 10_000
CHECKPOINT_FRACTION = 0.25

# Inode numbers are reserved from the workspace in ranges that double, so that a short-lived branch
# wastes few.
INODE_RANGE_MIN = 256
INODE_RANGE_MAX = 65_536

# Requests that tasks answer at once and that a successor is told of: as many as the kernel's own
# bound on read-ahead (64) and a few hundred clients that wait for a disk; others go uncounted.
IN_FLIGHT_NOTED_MAX = 256

# Mounts that one process serves: they share its core, and its descriptors.
SESSIONS_MAX = 32

# Names of workspaces, branches and snapshots.
REF_NAME_LENGTH_MAX = 128
# A message that would not fit one control write is refused rather than cut.
MESSAGE_BYTES_MAX = 64 * 1024
# A control answer longer than this is refused (`diff` of everything on a huge tree goes by the
# Python API).
CONTROL_ANSWER_BYTES_MAX = 256 * 1024 * 1024

# Power loss may take back this much unsynced work by default.
SYNC_INTERVAL_SECONDS = 30.0
# How long a branch may be idle before what is kept of it is sealed.
SEAL_IDLE_SECONDS = 60.0
# Scratch of closed segments beyond this is sealed without waiting for idleness.
SEAL_PRESSURE_BYTES = 512 * 1024 * 1024
# New bytes are looked for in the version of the file before only from so many on: a quarter of a
# chunk of the average size. Finding less than that again would not pay for two more pieces.
PATCHED_BYTES_MIN = 16 * 1024
# At most this share of bytes that are stored as a patch is new.
PATCH_SHARE_MAX = 0.25
# Pieces of older chunks in a patch. Each further edit of the same place adds two: every fourth
# stores a chunk again.
PATCH_PIECES_MAX = 8
# New chunks side by side that are looked at as one; held in memory until then.
PATCH_SPAN_BYTES_MAX = 1024 * 1024
# What drop, restore and rm leave behind stays this long, so that undo works.
UNDO_WINDOW_SECONDS = 24 * 3600
# What a dropped ephemeral branch leaves behind is memory: it stays as long as it takes to see that
# the drop was a mistake.
EPHEMERAL_UNDO_SECONDS = 60
# What left the log of a workspace that is in use is kept so much longer: a process that looked at
# it just before may be about to write a record that names it.
GARBAGE_GRACE_SECONDS = 600
# Mounts that are written to collect by themselves: retention thins by hours, so oftener frees
# little.
COLLECT_EVERY_SECONDS = 3600
# Collections are never closer than this, however short space is: what one could not give back, the
# next one cannot a minute later, since everything younger than ten minutes stays.
COLLECT_PAUSE_SECONDS = 600
# When the disk has filled by this since the last collection, an hour is long.
COLLECT_GROWTH_BYTES = 4 << 30
# A mount looks this often whether a collection is due, while it is written to (10 us).
COLLECT_LOOK_SECONDS = 60.0
# A share of a large disk is more room than anybody needs to go on.
FREE_BYTES_DEFAULT_MAX = 20 * 10**9
# However short space is, what was done a moment ago can be undone.
UNDO_WINDOW_SECONDS_MIN = 600
# No configuration removes a snapshot that is younger: whoever took it may not have read its id.
RETENTION_AGE_SECONDS_MIN = 600
# A pack of which less than this is wanted is written anew; above, copying costs more than it frees.
PACK_LIVE_SHARE_MIN = 0.5

# Kept back on the store's disk for what gives room back: the records of 50,000 removals (80 bytes
# each), a layer for each of 100 branches (12 KiB), or a change of the chunk index.
RESERVE_BYTES = 4 * 1024 * 1024
# Of that, what a server may use that goes on with a mount whose server died: SQLite's shared memory
# and journal (64 KiB at least), its own entry among the mounts, the lock of each branch in use.
TAKEOVER_BYTES = 1024 * 1024
# With less room on the store's disk than this, scratch is given back as soon as it is garbage.
TIGHT_DISK_BYTES = 64 * 1024 * 1024

# Open descriptors of segments and packs a process keeps: works under a limit of 1,024 with room for
# the user's.
OPEN_SEGMENTS_MAX = 128
# Names and inodes in the touched sets that are kept in memory, some 280 bytes each; beyond it the
# journal is read again, 30 ms for each 25,000 records.
TOUCHED_NAMES_MAX = 50_000
# Snapshot trees kept folded in memory (oldest use goes first); any of them can be folded again.
FOLDED_TREES_MAX = 256

# Smaller files are opened the ordinary way: of /usr of a Debian 12 with compilers, 78 % of the
# bytes are in the 1 % of its files that have this size or more (decision 0009).
PLAIN_FILE_BYTES_MIN = 256 * 1024
# A larger file would keep a core busy for more than 5 s before anybody gains from it.
PLAIN_FILE_BYTES_MAX = 2 << 30
# A share of a large disk is more than all that mounts of one machine read at a time.
PLAIN_BYTES_DEFAULT_MAX = 20 * 10**9
# What nobody opened for so long is not worth the disk, and may be what somebody deleted.
PLAIN_UNUSED_SECONDS = 7 * 24 * 3600
# What was opened a moment ago is opened again: it does not make room for others.
PLAIN_BUSY_SECONDS = 600
# An open waits so long for its plain file to be made (200 MB: 0.8 s) or compared (0.14 s). One that
# did not wait would fill a cache of its mount's own.
PLAIN_WAIT_SECONDS = 3.0
# A file of which there can be no plain file now (not sealed yet, no room) is looked at again after
# this; one that is used longer than this is noted as used again.
PLAIN_LOOK_SECONDS = 60.0
# Threads of a mount that make or compare plain files: one may wait for another process.
PLAIN_THREADS_MAX = 2
# Files of which a mount remembers whether they have a plain file: 200 bytes each.
PLAIN_KNOWN_MAX = 4096
# A mount that is asked whether it lives answers at once, or under an overloaded machine within
# seconds; unmounting itself waits for the pages that the writeback cache holds back.
ANSWER_SECONDS_MAX = 60.0
# What an unmounted process still has to make durable: a minute of writing at 100 MB/s and more.
END_SECONDS_MAX = 600.0
# What is left to copy of a branch in memory when a command promotes it, with everybody waiting:
# some ms. Who writes as fast as the disk takes it leaves more after so many rounds.
COPY_AT_ONCE_BYTES = 4 * 1024 * 1024
COPY_AHEAD_ROUNDS_MAX = 8
# A file that takes an export more than seconds to read, holes included: it is named meanwhile.
LARGE_FILE_BYTES = 1 << 30
# Layers a mount that writes has in hand, so that the next restore or branch need not make files (3
# inodes each); and how long: what no process names a collection takes after a day.
SPARE_LAYERS = 4
SPARE_LAYER_SECONDS_MAX = 3600.0

# The largest files that are read whole are journals: FOLD_RECORDS_MAX records with the longest
# xattr are 3.3 GB. A larger one is a hole of somebody's: it takes no room in an archive.
WHOLE_FILE_BYTES_MAX = 4 << 30
