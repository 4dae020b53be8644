"""The stores that this process owns runs in: one host each, shared by all its runs."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path

from smithers.store import Durability

from .host import Host

_hosts: dict[tuple[int, Path, Durability], Host] = {}
_lock = threading.Lock()


def known_host(path: Path, durability: Durability = "full") -> Host | None:
    """The host of a store that this process has opened; None: it has not."""
    return _hosts.get((os.getpid(), path.absolute(), durability))


def host_for(path: Path, durability: Durability = "full") -> Host:
    """The host of a store in this process; a fork gets its own.

    Args:
        durability: of its commits: runs that want another one get another host.
    """
    key = (os.getpid(), path.absolute(), durability)
    with _lock:
        host = _hosts.get(key)
        if host is None:
            host = _hosts[key] = Host(path, durability=durability, notifies=True)
        return host


def lend_host(path: Path, durability: Durability, host: Host) -> None:
    """Let whoever asks for this store in this process find `host`, which may be of another kind."""
    with _lock:
        _hosts[os.getpid(), path.absolute(), durability] = host


def close_host(path: Path) -> None:
    """Leave one store, however often this process has opened it."""
    with _lock:
        mine = [key for key in _hosts if key[:2] == (os.getpid(), path.absolute())]
        hosts = [_hosts.pop(key) for key in mine]
    for host in hosts:
        host.close()


@atexit.register
def close_hosts() -> None:
    """Leave every store that this process opened."""
    with _lock:
        mine = [key for key in _hosts if key[0] == os.getpid()]
        hosts = [_hosts.pop(key) for key in mine]
    for host in hosts:
        host.close()
