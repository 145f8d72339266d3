"""Network file systems are told from others by tables as real machines print them."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchglass.errors import StoreError
from torchglass.store import network
from torchglass.store.network import Mount, is_network, mount_of, parse_mount_table, refuse_network_file_system

CLUSTER = r"""22 28 0:20 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
28 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw,errors=remount-ro
60 28 0:51 / /home rw,relatime shared:30 - nfs4 filer.example:/export/home rw,vers=4.2,rsize=1048576,hard
61 60 8:17 / /home/me/scratch rw,relatime shared:31 - xfs /dev/sdb1 rw,attr2
62 28 0:52 / /mnt/shared\040data\134x rw,relatime shared:32 master:7 - cifs //server/share\040one rw,vers=3.0
63 28 0:53 / /lustre rw - lustre 10.0.0.1@tcp:/fs rw,flock
64 28 0:54 / /net rw,relatime - autofs /etc/auto.net rw,fd=6
65 64 0:55 / /net/filer rw,relatime - nfs filer:/vol rw,vers=3
66 28 8:18 /data /homework rw,relatime - btrfs /dev/sdc1 rw,subvol=/data
67 28 0:56 / /mnt/over rw - nfs4 filer:/a rw
68 28 8:19 / /mnt/over rw - ext4 /dev/sdd1 rw
69 28 0:57 / /mnt/ssh rw,nosuid,nodev - fuse.sshfs me@host:/ rw,user_id=0
70 28 0:58 / /mnt/glass rw - fuse.gvfsd-fuse gvfsd-fuse rw
71 28 0:59 /vol/export /bound rw - nfs4 filer.example:/export/home rw
"""
CONTAINER = """514 408 0:47 / / rw,relatime master:190 - overlay overlay rw,lowerdir=/a:/b,upperdir=/c,workdir=/d
515 514 0:50 / /proc rw,nosuid - proc proc rw
520 514 0:51 / /dev/shm rw,nosuid - tmpfs shm rw,size=65536k
523 514 0:40 / /workspace rw - nfs4 10.1.2.3:/pvc-1 rw,vers=4.1
524 514 8:1 /var/lib/docker/volumes/v/_data /data rw - ext4 /dev/sda1 rw
"""
WSL2 = """70 60 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard,errors=remount-ro,data=ordered
80 70 0:40 / /mnt/c rw,noatime - 9p C:\\134 rw,dirsync,aname=drvfs;path=C:\\;uid=1000,mmap,access=client,trans=fd
"""
GVISOR = "1 0 0:15 / / rw - 9p none rw,trans=fd,rfdno=4,wfdno=4,aname=/,dfltuid=4294967294\n"


@pytest.mark.parametrize(
    ("table", "path", "point", "type"),
    [
        (CLUSTER, "/var/lib/store.db", "/", "ext4"),
        (CLUSTER, "/home/me/store.db", "/home", "nfs4"),
        (CLUSTER, "/home/me/scratch/store.db", "/home/me/scratch", "xfs"),
        (CLUSTER, "/homework/store.db", "/homework", "btrfs"),
        (CLUSTER, "/home", "/home", "nfs4"),
        (CLUSTER, "/mnt/shared data\\x/store.db", "/mnt/shared data\\x", "cifs"),
        (CLUSTER, "/net/filer/a/b", "/net/filer", "nfs"),
        (CLUSTER, "/mnt/over/store.db", "/mnt/over", "ext4"),
        (CLUSTER, "/bound/x", "/bound", "nfs4"),
        (CONTAINER, "/root/torchglass.db", "/", "overlay"),
        (CONTAINER, "/workspace/torchglass.db", "/workspace", "nfs4"),
        (CONTAINER, "/data/torchglass.db", "/data", "ext4"),
        (WSL2, "/mnt/c/Users/me/store.db", "/mnt/c", "9p"),
        (WSL2, "/home/me/store.db", "/", "ext4"),
    ],
)
def test_a_path_lies_on_the_mount_with_the_longest_point_that_holds_it(
    table: str, path: str, point: str, type: str
) -> None:
    assert mount_of(path, parse_mount_table(table)) == Mount(point, type)


@pytest.mark.parametrize(
    ("table", "path", "refused"),
    [
        (CLUSTER, "/var/store.db", False),
        (CLUSTER, "/home/me/store.db", True),
        (CLUSTER, "/home/me/scratch/store.db", False),
        (CLUSTER, "/lustre/p/store.db", True),
        (CLUSTER, "/mnt/ssh/store.db", True),
        (CLUSTER, "/mnt/glass/store.db", False),
        (CONTAINER, "/root/store.db", False),
        (CONTAINER, "/dev/shm/store.db", False),
        (CONTAINER, "/workspace/store.db", True),
        (WSL2, "/mnt/c/store.db", True),
        (WSL2, "/home/store.db", False),
        (GVISOR, "/root/store.db", False),
    ],
)
def test_a_store_is_refused_where_machines_share_the_disk_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table: str, path: str, refused: bool
) -> None:
    (tmp_path / "mountinfo").write_text(table)
    monkeypatch.setattr(network, "MOUNT_TABLE", tmp_path / "mountinfo")
    monkeypatch.delenv(network.OVERRIDE, raising=False)
    if not refused:
        refuse_network_file_system(Path(path))
        return
    with pytest.raises(StoreError, match=r"network file system .*a disk of this machine, or a postgresql:// URL") as no:
        refuse_network_file_system(Path(path))
    assert path in str(no.value)
    monkeypatch.setenv(network.OVERRIDE, "1")
    refuse_network_file_system(Path(path))


def test_a_link_is_judged_by_where_it_leads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = tmp_path / "far"
    real.mkdir()
    (tmp_path / "near.db").symlink_to(real / "store.db")
    table = f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / {real} rw - nfs4 filer:/ rw\n"
    (tmp_path / "mountinfo").write_text(table)
    monkeypatch.setattr(network, "MOUNT_TABLE", tmp_path / "mountinfo")
    with pytest.raises(StoreError, match="nfs4 at"):
        refuse_network_file_system(tmp_path / "near.db")


def test_without_the_kernels_table_the_mounts_come_from_psutil(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(network, "MOUNT_TABLE", tmp_path / "absent")
    assert "/" in {mount.point for mount in network.current_mounts()}


def test_windows_drives_and_shares_are_told_apart() -> None:
    mounts = [Mount("C:\\", "NTFS"), Mount("Z:\\", "cifs")]
    assert mount_of(r"c:\users\me\store.db", mounts) == mounts[0]
    assert mount_of(r"Z:\store.db", mounts) == mounts[1]
    assert network._share_of(r"\\server\share\store.db") == Mount(r"\\server\share", "cifs")
    assert network._share_of(r"\\?\C:\store.db") is None
    assert network._share_of("/home/store.db") is None


@pytest.mark.parametrize(
    "type", ["overlay", "tmpfs", "zfs", "btrfs", "apfs", "NTFS", "virtiofs", "fuse.encfs", "fuseblk"]
)
def test_file_systems_of_one_machine_are_fine(type: str) -> None:
    assert not is_network(Mount("/x", type))


@pytest.mark.parametrize(
    "type", ["nfs", "smb3", "smbfs", "ceph", "gpfs", "beegfs", "fuse.rclone", "fuse.drive", "drvfs"]
)
def test_file_systems_of_many_machines_are_not(type: str) -> None:
    assert is_network(Mount("/x", type))


def test_this_machines_own_table_is_understood(tmp_path: Path) -> None:
    assert mount_of(str(tmp_path), network.current_mounts()) is not None
    refuse_network_file_system(tmp_path / "store.db")
