"""The right to converge: one process has it at a time, or several that share it, until they end, however they end."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hanse.ports.store import StoreError


class Hold:
    """An advisory lock on a file beside the store, which names its holder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self, *, shared: bool = False) -> None:
        """Take it or keep it, alone or with others who share it. Raises StoreError with the process that has it."""
        if self._descriptor is not None:
            return
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"{self._path} cannot be opened: {error.strerror}", "make it writable"
            ) from error
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreError(
                f"process {holder} is applying with this store already",
                "wait until it is done, or stop it; where that is `hanse serve`, it applies each commit by itself",
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Let it go. The file stays: removing it would let two hold two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
