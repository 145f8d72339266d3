"""Whether a path lies on a network file system, where SQLite's locks and shared memory do not hold.

A write-ahead log is shared between processes through memory mapped from a file, which two machines never share, and
many network file systems grant a lock to both of two clients: https://sqlite.org/wal.html and
https://sqlite.org/howtocorrupt.html (2.1). Such a store works for days and is then damaged.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import psutil

from torchglass.errors import StoreError

OVERRIDE = "TORCHGLASS_ALLOW_NETWORK_FILE_SYSTEM"
MOUNT_TABLE = Path("/proc/self/mountinfo")
# Shared folders of virtual machines are among them: drvfs (over 9p in WSL 2) and vboxsf cannot map shared memory.
# fmt: off
NETWORK_TYPES = frozenset(
    {
        "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "ncp", "afs", "openafs", "coda",
        "afpfs", "webdav", "davfs", "ftp", "ceph", "lustre", "gpfs", "beegfs", "beegfs_nodev", "glusterfs", "panfs",
        "pvfs2", "orangefs", "wekafs", "ocfs2", "gfs2", "gfs", "quobyte", "vastfs", "9p", "drvfs", "vboxsf",
        "vmhgfs", "prl_fs", "acfs",
    }
)
NETWORK_FUSE = frozenset(
    {
        "sshfs", "s3fs", "s3ql", "goofys", "mountpoint-s3", "gcsfuse", "rclone", "blobfuse", "blobfuse2",
        "glusterfs", "ceph", "ceph-fuse", "juicefs", "davfs", "davfs2", "drive", "google-drive-ocamlfuse",
        "onedriver", "moosefs", "mfs", "mfsmount", "lizardfs", "saunafs", "seaweedfs", "weed", "beegfs", "lustre",
        "quobyte", "alluxio", "alluxio-fuse", "cvmfs", "cvmfs2", "hdfs", "fuse_dfs", "dbfs", "cifs", "smbnetfs",
        "curlftpfs", "vmhgfs-fuse", "afpfs", "objectivefs", "geesefs", "pvfs2fuse", "tigrisfs",
    }
)
# fmt: on


class Mount(NamedTuple):
    """A mounted file system: where, and of which type."""

    point: str
    type: str


def refuse_network_file_system(path: Path) -> None:
    """Raise where SQLite would be unsafe.

    Raises:
        StoreError: the path lies on a network file system, and `TORCHGLASS_ALLOW_NETWORK_FILE_SYSTEM` is not 1.
    """
    if os.environ.get(OVERRIDE) == "1":
        return
    real = os.path.realpath(path)
    mount = _share_of(real) or mount_of(real, current_mounts())
    if mount is not None and is_network(mount):
        raise StoreError(
            f"{path} is on a network file system ({mount.type} at {mount.point}), where SQLite's locks do not hold and "
            "a store gets damaged: give a path on a disk of this machine, or a postgresql:// URL; or set "
            f"{OVERRIDE}=1 if one machine alone will ever open it"
        )


def is_network(mount: Mount) -> bool:
    """Tell whether several machines may see the file system, or its shared mappings do not work."""
    if mount.type == "9p":
        return mount.point != "/"  # a sandbox such as gVisor keeps its own disk so
    return mount.type in NETWORK_TYPES or mount.type.removeprefix("fuse.") in NETWORK_FUSE


def mount_of(path: str, mounts: list[Mount]) -> Mount | None:
    """Find the mount that a path without links lies on: the longest mount point, of equals the one mounted last."""
    found = None
    for mount in mounts:
        if _lies_in(path, mount.point) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _share_of(path: str) -> Mount | None:
    """Name the share of a Windows path such as `\\\\server\\share\\store.db`, which no table of mounts lists."""
    drive = PureWindowsPath(path).drive
    return Mount(drive, "cifs") if drive.startswith("\\\\") and drive[2:3] not in ("?", ".") else None


def _lies_in(path: str, point: str) -> bool:
    kind = PureWindowsPath if re.match(r"[A-Za-z]:|\\\\", path) else PurePosixPath
    return kind(path).is_relative_to(point)


def current_mounts() -> list[Mount]:
    """Mounts as this process sees them, in the order of mounting."""
    try:
        return parse_mount_table(os.fsdecode(MOUNT_TABLE.read_bytes()))
    except OSError:
        partitions = psutil.disk_partitions(all=True)  # macOS, Windows: no such table
    return [Mount(each.mountpoint, "cifs" if "remote" in each.opts.split(",") else each.fstype) for each in partitions]


def parse_mount_table(text: str) -> list[Mount]:
    """Read `/proc/self/mountinfo` (man 5 proc): the point is field 5 of a line, the type follows a lone dash."""
    mounts = []
    for line in text.split("\n"):
        front, dash, back = line.partition(" - ")
        fields = front.split(" ")
        if dash and len(fields) > 5:
            mounts.append(Mount(_unescaped(fields[4]), back.split(" ")[0]))
    return mounts


def _unescaped(text: str) -> str:
    """Turn the octal escapes of space, tab, newline, backslash and number sign back into characters."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
