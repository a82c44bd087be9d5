"""The Kubernetes API server that tests run on: the real one with HANSE_KUBERNETES=real, else the simulator.

What only the simulator has answered is not known: `make test-kubernetes` runs the same tests on the real one.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from hanse.demo import kubernetes as starter
from hanse.ports.transport import Call
from hanse.simulators import kubernetes as simulator

REAL = os.environ.get("HANSE_KUBERNETES") == "real"

USERS: Mapping[str, tuple[str, ...]] = {
    "ann": ("developers",),
    "ben": ("developers", "auditors"),
    "cat": (),
    "hanse": (),
}
"""The groups of each user who has a token; none has a right until a test gives it one."""


class KubernetesServer(Protocol):
    """What both have. Leaving its `with` block stops it."""

    @property
    def url(self) -> str:
        """Where the API is: scheme, 127.0.0.1 and a port."""

    @property
    def ca_file(self) -> Path | None:
        """What its certificate is checked with; None where it speaks plain HTTP."""

    @property
    def token(self) -> str:
        """Of the administrator, who is in system:masters."""

    @property
    def tokens(self) -> Mapping[str, str]:
        """By the users of `USERS`."""

    def kubeconfig(self, name: str, *, token: str | None = None, namespace: str | None = None) -> str:
        """A whole kubeconfig of one context of that name, by default the administrator's."""

    def stop_api(self) -> None:
        """Cut its connections and refuse new ones; what it answered is kept."""

    def start_api(self) -> None:
        """Serve again at the same address."""


class Bearer:
    """Signs in with a token that a test may change."""

    def __init__(self, token: str) -> None:
        self.token = token

    async def headers(self, call: Call) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def renew(self) -> None:
        pass


def start(folder: Path) -> AbstractContextManager[KubernetesServer]:
    """A server with `USERS`; the real one puts what it keeps into the folder.

    Raises:
        KubernetesError: the real one is asked for, and its programs are missing or do not start.
    """
    return starter.start(folder, users=USERS) if REAL else simulator.start(users=USERS)
