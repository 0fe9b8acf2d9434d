"""The token of a server that this user runs on this machine.

Its first start leaves an admin token in the state folder, for the owner alone. It may be shown only to whom it belongs:
over loopback, and only when nobody but this user or root listens on that port, since on a machine with many users
anybody may wait on a free port for somebody's token. Only Linux says who listens; elsewhere there is no such server.
"""
from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import Optional

_LISTENING = "0A"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def state_folder() -> Optional[Path]:
    """Where the server keeps its state, as the server finds it."""
    if folder := os.environ.get("TENSORD_STATE_DIR"):
        return Path(folder)
    if folder := os.environ.get("STATE_DIRECTORY"):
        return Path(folder.split(":")[0])
    if folder := os.environ.get("XDG_STATE_HOME"):
        return Path(folder, "tensord")
    try:
        return Path.home() / ".local" / "state" / "tensord"
    except RuntimeError:
        return None


def _listeners(port: int) -> list[int]:
    """The users whose sockets listen on the port."""
    users = []
    for table in _TABLES:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if len(fields) > 7 and fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                users.append(int(fields[7]))
    return users


def is_own(connected: socket.socket) -> bool:
    """Is this user's or root's server at the other end of the connection?"""
    if not hasattr(os, "geteuid"):
        return False
    if connected.family == getattr(socket, "AF_UNIX", None):
        return False  # the kernel tells such a server who asks
    try:
        peer = connected.getpeername()
        address = ipaddress.ip_address(peer[0].partition("%")[0])
    except (OSError, ValueError):
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    users = _listeners(peer[1])
    return address.is_loopback and bool(users) and all(user in (0, os.geteuid()) for user in users)


def own_token(connected: socket.socket) -> Optional[str]:
    """The admin token of the server at the other end, if it is this user's own."""
    folder = state_folder()
    if folder is None or not is_own(connected):
        return None
    try:
        return (folder / "admin-token").read_text().strip() or None
    except OSError:
        return None
