"""The Kubernetes of the demo: a real API server where one is at hand, else a simulated one; and a hand."""

from __future__ import annotations

import fcntl
import json
import ssl
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hanse.demo import kubernetes, processes
from hanse.foundation import yaml

RBAC = "/apis/rbac.authorization.k8s.io/v1"
START_SECONDS = 20.0


@dataclass(frozen=True)
class Cluster:
    """A running Kubernetes API server, known by its folder."""

    folder: Path
    what: str
    """What it is, in words for people."""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    """The simulator, where it is a child of this process."""

    @classmethod
    def start(cls, folder: Path) -> Cluster:
        """Start one in that folder, which outlives this process. Raises kubernetes.KubernetesError."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        cluster = cls(folder, "")
        if kubernetes.find() is not None:
            server = kubernetes.start(folder / "real", detached=True)
            config = folder / "kubeconfig"
            config.touch(mode=0o600)
            config.write_text(server.kubeconfig("demo"))
        else:
            cluster = cls(folder, "", _simulate(folder))
        version = cluster._call("GET", "/version")["gitVersion"]
        sort = "simulated" if cluster._process else "real"
        return replace(cluster, what=f"a {sort} Kubernetes API server {version}")

    @property
    def kubeconfig(self) -> Path:
        """How it is reached as administrator."""
        return self.folder / "kubeconfig"

    @property
    def context(self) -> str:
        """The name of the one context in its kubeconfig."""
        return str(self._config()["current-context"])

    @property
    def url(self) -> str:
        """Where it answers."""
        return str(self._config()["clusters"][0]["cluster"]["server"])

    def stop(self) -> bool:
        """End it; whether it was running."""
        try:
            kubernetes.ApiServer.attach(self.folder / "real").stop()
        except kubernetes.KubernetesError:
            if not processes.alive(_pid_file(self.folder)):
                return False
            processes.end(_pid_file(self.folder), grace=5.0)
            if self._process is not None:
                processes.reap(self._process)
        return True

    def give(self, namespace: str, name: str, role: str, user: str) -> None:
        """What `kubectl create rolebinding` does."""
        body = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
        self._call("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", body)

    def bindings(self, namespace: str) -> list[str]:
        """Names of the RoleBindings in a namespace."""
        rows = self._call("GET", f"{RBAC}/namespaces/{namespace}/rolebindings")["items"]
        return sorted(row["metadata"]["name"] for row in rows)

    def _config(self) -> dict[str, Any]:
        value: dict[str, Any] = (
            yaml.parse(self.kubeconfig.read_bytes(), str(self.kubeconfig)).documents[0].value
        )
        return value

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        config = self._config()
        token = config["users"][0]["user"]["token"]
        request = urllib.request.Request(  # noqa: S310 (an address of our own)
            self.url + path,
            data=json.dumps(body).encode() if body else None,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            method=method,
        )
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self.url.startswith("https:"):
            certificate = kubernetes.ApiServer.attach(self.folder / "real").ca_file
            handlers.append(
                urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(certificate)))
            )
        with urllib.request.build_opener(*handlers).open(request, timeout=10) as answer:
            return json.loads(answer.read())


def _simulate(folder: Path) -> subprocess.Popen[bytes]:
    """Start the simulator as a process that holds the pid file for as long as it lives."""
    config = folder / "kubeconfig"
    with _pid_file(folder).open("w") as held, (folder / "simulator.log").open("wb") as log:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = subprocess.Popen(  # noqa: S603 (our own program)
            [sys.executable, "-m", "hanse.simulators.kubernetes", "--kubeconfig", str(config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, pass_fds=[held.fileno()],
        )  # fmt: skip
        held.write(str(process.pid))
    if not processes.wait(lambda: config.exists() and config.read_bytes().endswith(b"\n"), START_SECONDS):
        processes.end(_pid_file(folder), grace=1.0)
        processes.reap(process)
        raise kubernetes.KubernetesError(
            f"the simulated Kubernetes did not start: see {folder / 'simulator.log'}"
        )
    return process


def _pid_file(folder: Path) -> Path:
    return folder / "simulator.pid"
