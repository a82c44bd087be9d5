"""The cluster that the demo plays on: the real one where it is at hand, else the simulator in a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api import NAMESPACES

from hanse.demo import kubernetes
from hanse.demo.cluster import Cluster
from kubernetes_server import REAL


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    if not REAL:
        monkeypatch.setattr(kubernetes, "find", lambda: None)
    yield tmp_path / "kubernetes"
    Cluster(tmp_path / "kubernetes", "").stop()


def test_it_says_which_it_is_and_a_hand_gives_access_there_until_it_is_ended(folder: Path) -> None:
    cluster = Cluster.start(folder)
    assert cluster.what.startswith(f"a {'real' if REAL else 'simulated'} Kubernetes API server v1.")
    assert cluster.kubeconfig.stat().st_mode & 0o077 == 0
    cluster._call("POST", NAMESPACES, {"metadata": {"name": "shop-prod"}})
    assert cluster.bindings("shop-prod") == []
    cluster.give("shop-prod", "just-for-today", "admin", "oidc:thirty@example.org")
    assert cluster.bindings("shop-prod") == ["just-for-today"]
    assert cluster.stop()
    assert not cluster.stop()
