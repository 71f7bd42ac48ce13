"""
Who may pass through a folder without looking into it: one account, by an entry of its own in the folder's access list.

Permission bits know only the owner, a group and everybody. Where a file system keeps access lists (ext4, xfs, btrfs,
tmpfs, overlayfs do), nobody but the account is let through; where it keeps none, everybody is, to pass and no more.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from pathlib import Path

_ATTRIBUTE = "system.posix_acl_access"
_HEADER = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")  # kind, rights, whose
_OWNER, _USER, _GROUP, _NAMED_GROUP, _MASK, _OTHERS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOBODY = 0xFFFFFFFF  # in entries that name nobody
_PASS = 1

_Entries = dict[tuple[int, int], int]  # (kind, whose) -> rights


def may_pass(folder: Path, uid: int, gid: int) -> bool:
    """Whether the folder lets an account through, that is in no other group. Raises OSError."""
    found = folder.stat()
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IXUSR)
    entries = _entries(folder)
    if (_USER, uid) in entries:
        return bool(entries[_USER, uid] & entries.get((_MASK, _NOBODY), _PASS) & _PASS)
    if (_NAMED_GROUP, gid) in entries or found.st_gid == gid:
        own = entries.get((_GROUP, _NOBODY), 0) if found.st_gid == gid else 0
        rights = entries.get((_NAMED_GROUP, gid), 0) | own
        return bool(rights & entries.get((_MASK, _NOBODY), _PASS) & _PASS)
    return bool(found.st_mode & stat.S_IXOTH)


def let_through(folder: Path, uid: int) -> None:
    """Let one account pass through a folder: pass, not list and not read. Raises OSError."""
    entries = _entries(folder)
    entries[_USER, uid] = entries.get((_USER, uid), 0) | _PASS
    mask = entries.get((_MASK, _NOBODY), entries[_GROUP, _NOBODY])
    entries[_MASK, _NOBODY] = mask | _PASS
    listed = b"".join(_ENTRY.pack(kind, rights, whose) for (kind, whose), rights in sorted(entries.items()))
    try:
        os.setxattr(folder, _ATTRIBUTE, _HEADER + listed)
    except OSError as error:
        if error.errno not in {errno.ENOTSUP, errno.ENOSYS}:
            raise
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)


def _entries(folder: Path) -> _Entries:
    """The folder's access list; that of its permission bits when it has none."""
    try:
        listed = os.getxattr(folder, _ATTRIBUTE)
    except OSError as error:
        if error.errno not in {errno.ENODATA, errno.ENOTSUP, errno.ENOSYS}:
            raise
        mode = folder.stat().st_mode
        return {(_OWNER, _NOBODY): mode >> 6 & 7, (_GROUP, _NOBODY): mode >> 3 & 7, (_OTHERS, _NOBODY): mode & 7}
    return {(kind, whose): rights for kind, rights, whose in _ENTRY.iter_unpack(listed[len(_HEADER) :])}
