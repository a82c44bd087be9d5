"""Starts a real Kubernetes API server on this machine: for tests, for benchmarks, for the demo.

    with start(folder, users={"one": ("developers",)}) as cluster:  # a few seconds; everything lies in the folder
        cluster.url, cluster.ca_file, cluster.token, cluster.tokens["one"], cluster.kubeconfig("test")

There are no nodes: kube-apiserver with RBAC, etcd behind it, and those controllers of kube-controller-manager that
namespaces and rights depend on. The API server listens on 127.0.0.1 only and etcd on sockets in the folder. They end
when the process that started them does, however that ends, unless they were started detached.

Needs the three programs (see `find`) and a POSIX system (fcntl).
"""

import base64
import csv
import io
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self

from hanse.demo import processes

ADMIN = "admin"
"""The user who may do everything: it is in the group system:masters."""

_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
_SERVER = Path(__file__).with_name("kubernetes_server.py")
_PATIENCE = 90.0

# Without the first, admin, edit and view have no rules and the escalation check refuses for the wrong reason; without
# the second a deleted namespace is Terminating for ever. The others fill what tenants see in a namespace.
_CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "resourcequota-controller",
    "garbage-collector-controller",
)


class KubernetesError(RuntimeError):
    """The programs are missing, or could not be started: what failed, and the end of the log."""


# ---- the programs


@dataclass(frozen=True)
class Binaries:
    """The folder or folders where the three programs lie."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path


def find() -> Binaries | None:
    """The three programs: those that the machine has, else those that `make counterparts` has built last."""
    if given := installed():
        return given
    built = sorted(cache().glob("kubernetes-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    return next((found for folder in built if (found := _in(str(folder)))), None)


def installed() -> Binaries | None:
    """All three in $KUBEBUILDER_ASSETS, where Kubernetes' own test tools look for them, or all three on the PATH.

    What setup-envtest fetches for KUBEBUILDER_ASSETS has no kube-controller-manager; it can be put beside.
    """
    return _in(os.environ.get("KUBEBUILDER_ASSETS", "")) or _in(os.environ.get("PATH", ""))


def cache() -> Path:
    """Where `make counterparts` puts what it builds, a folder for each version."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hanse-counterparts"


def _in(path: str) -> Binaries | None:
    found = [shutil.which(name, path=path) for name in _PROGRAMS] if path else []
    paths = [Path(place).resolve() for place in found if place]
    return Binaries(*paths) if len(paths) == len(_PROGRAMS) else None


# ---- one API server, in one folder


@dataclass(frozen=True)
class ApiServer:
    """A running API server. Leaving its `with` block stops it."""

    folder: Path
    url: str  # https://127.0.0.1:PORT
    pid: int  # of the process that keeps the three
    tokens: Mapping[str, str] = field(repr=False)  # by user
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def attach(cls, folder: Path) -> Self:
        """The API server that was started detached in this folder, perhaps by another process.

        Raises:
            KubernetesError: none is running there.
        """
        return cls._of(folder, None)

    @classmethod
    def _of(cls, folder: Path, process: subprocess.Popen[bytes] | None) -> Self:
        pid = _pid(folder)
        if not processes.alive(_pid_file(folder)) or pid is None:
            raise KubernetesError(f"no Kubernetes API server is running in {folder}")
        return cls(folder, (folder / "url").read_text(), pid, _tokens(folder), process)

    @property
    def ca_file(self) -> Path:
        """What the server's certificate is checked with."""
        return _certificate(self.folder)

    @property
    def token(self) -> str:
        """The administrator's."""
        return self.tokens[ADMIN]

    @property
    def running(self) -> bool:
        """Whether the process lives that keeps the three."""
        return processes.alive(_pid_file(self.folder)) and _pid(self.folder) == self.pid

    def kubeconfig(self, name: str, *, token: str | None = None, namespace: str | None = None) -> str:
        """A whole kubeconfig of one context, by default the administrator's; token and certificate are in it."""
        context = {"namespace": namespace} if namespace else {}
        cluster = {"server": self.url, "certificate-authority-data": _base64(self.ca_file.read_bytes())}
        return _kubeconfig(name, cluster, token or self.token, context)

    def stop_api(self) -> None:
        """Stop just the API server: its connections are cut, its port refuses, etcd keeps what it answered.

        Raises:
            KubernetesError: it did not end, or none of the three is running.
        """
        self._tell(signal.SIGUSR1)
        if not processes.wait(lambda: not (self.folder / "kube-apiserver.pid").exists(), _PATIENCE):
            raise KubernetesError(f"kube-apiserver in {self.folder} did not end in {_PATIENCE:g} s")

    def start_api(self) -> None:
        """Start it again after `stop_api`, at the same address, and wait until it is ready.

        Raises:
            KubernetesError: it ended, or was not ready in time; the message ends with its log's last lines.
        """
        self._tell(signal.SIGUSR2)
        _await_ready(self.folder, self.url, _PATIENCE)

    def stop(self, grace: float = 15.0) -> None:
        """End all three, by force after `grace` seconds, unless they have ended already; the folder stays."""
        if self.running:
            processes.end(_pid_file(self.folder), grace)
        if self._process is not None:
            processes.reap(self._process)

    def _tell(self, number: signal.Signals) -> None:
        if not self.running:
            raise KubernetesError(f"no Kubernetes API server is running in {self.folder}")
        os.kill(self.pid, number)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def start(
    folder: Path,
    *,
    binaries: Binaries | None = None,
    users: Mapping[str, Sequence[str]] | None = None,
    detached: bool = False,
    etcd_fsync: bool = False,
    arguments: Sequence[str] = (),
    patience: float = _PATIENCE,
) -> ApiServer:
    """A running API server in this folder, ready for requests. An old folder goes on with its data and tokens.

    Ready means that the namespace `default` is there and the ClusterRoles admin, edit and view have their rules.

    Args:
        folder: all of it: data, keys, tokens, logs; for the owner's eyes only.
        binaries: from `find`, which is called if there are none.
        users: the groups of each user who gets a token, beside the administrator. The API server reads them when it
            starts, so nobody comes later.
        detached: outlives the caller, until `ApiServer.attach(folder).stop()`.
        etcd_fsync: etcd waits for the disk, as in production; without it a loss of power may lose writes.
        arguments: more for kube-apiserver, such as `--client-ca-file=...`.
        patience: seconds until it must be ready.

    Raises:
        KubernetesError: programs are missing; one ended, or was not ready in time: the message ends with the log's
            last lines.
    """
    binaries = binaries or find()
    if binaries is None:
        raise KubernetesError(
            f"{', '.join(_PROGRAMS)} are neither all in $KUBEBUILDER_ASSETS, nor all on the PATH, nor in {cache()}: "
            "`make counterparts` builds them"
        )
    if processes.alive(_pid_file(folder)):
        raise KubernetesError(f"a Kubernetes API server is running in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    folder = folder.resolve()
    _pid_file(folder).write_text("")  # not unlinked: two who start at once must meet at the same lock
    with socket.socket() as held, _log(folder, "server").open("ab") as output:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{held.getsockname()[1]}"
        _configure(folder, url, users or {})
        commands = _commands(folder, url, binaries, etcd_fsync, arguments)
        _write_secret(folder / "commands.json", json.dumps(commands, indent=2))
        command = [sys.executable, "-I", str(_SERVER), str(folder), str(held.fileno())]
        process = subprocess.Popen(  # noqa: S603
            [*command, "--detach"] if detached else command,
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[held.fileno()],
            start_new_session=True,  # an interrupt from the keyboard is for the caller alone
        )
    ready = False
    try:
        known = processes.wait(lambda: process.poll() is not None or _pid(folder) is not None, patience)
        _await_ready(folder, url, patience if known else 0)
        ready = True
    finally:
        if not ready:
            processes.end(_pid_file(folder), grace=15.0)
            processes.reap(process)
    if detached:
        process.wait()  # this one only launched the other, which has inherited the lock
    return ApiServer._of(folder, None if detached else process)


def _await_ready(folder: Path, url: str, patience: float) -> None:
    """Wait until nothing lacks.

    Raises:
        KubernetesError: it ended, or something still lacks.
    """
    lacks: str | None = None

    def settled() -> bool:
        nonlocal lacks
        lacks = _lacking(folder, url) if processes.alive(_pid_file(folder)) else None
        return not lacks

    if not processes.wait(settled, patience):
        why, log = f"was not ready after {patience:g} s ({lacks})", _log(folder, "kube-apiserver")
    elif lacks is None:
        why, log = "ended", _log(folder, "server")
    else:
        return
    end = processes.tail(log.read_text(errors="replace")) if log.exists() else ""
    raise KubernetesError(f"the Kubernetes API server {why}. The end of {log}:\n{end}")


def _lacking(folder: Path, url: str) -> str:
    """What a cluster lacks that is not ready yet; nothing where it is."""
    if not _certificate(folder).exists():
        return "it has no certificate yet"
    try:
        checked = urllib.request.HTTPSHandler(
            context=ssl.create_default_context(cafile=str(_certificate(folder)))
        )
    except ssl.SSLError:
        return "its certificate is half written"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), checked)
    opener.addheaders = [("Authorization", f"Bearer {_tokens(folder)[ADMIN]}")]

    def get(path: str) -> bytes:
        with opener.open(url + path, timeout=10) as answer:
            return bytes(answer.read())

    path = "/readyz"
    try:
        get(path)
        get(path := "/api/v1/namespaces/default")
        for role in ("admin", "edit", "view"):
            path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}"
            if not json.loads(get(path)).get("rules"):
                return f"ClusterRole {role} has no rules"
    except (OSError, HTTPException) as error:  # HTTPError is an OSError too
        return f"{path}: {error}"
    return ""


# ---- what lies in the folder


def _configure(folder: Path, url: str, users: Mapping[str, Sequence[str]]) -> None:
    """Write tokens, key and the controllers' kubeconfig; what is there from an earlier start stays."""
    known, groups = _tokens(folder), {**users, ADMIN: ("system:masters",)}
    rows = [row for row in _rows(folder) if row[1] not in groups]
    for user, its_groups in groups.items():
        token = known.get(user) or secrets.token_urlsafe(24)
        rows.append([token, user, user, *([",".join(its_groups)] if its_groups else [])])
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    _write_secret(folder / "tokens.csv", text.getvalue())
    if not (folder / "service-accounts.pem").exists():
        _write_secret(folder / "service-accounts.pem", _signing_key())
    cluster = {"server": url, "certificate-authority": str(_certificate(folder))}
    controllers = _kubeconfig("controllers", cluster, _tokens(folder)[ADMIN], {})
    _write_secret(folder / "controllers.kubeconfig", controllers)
    (folder / "url").write_text(url)


def _commands(
    folder: Path, url: str, binaries: Binaries, etcd_fsync: bool, arguments: Sequence[str]
) -> dict[str, list[str]]:
    """The three command lines. What is left out has its default, as in real clusters."""
    # Sockets in the folder, since etcd asks nobody who they are; it wants a host and a port all the same.
    clients, peers = "unix://clients:0", "unix://peers:0"
    key, certificate = str(folder / "service-accounts.pem"), _certificate(folder)
    etcd = [
        "--data-dir=etcd",
        "--name=hanse",
        "--log-level=warn",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=hanse={peers}",
        *([] if etcd_fsync else ["--unsafe-no-fsync"]),
    ]
    api = [
        f"--etcd-servers={clients}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={url.rpartition(':')[2]}",
        "--permit-port-sharing",  # with the socket that keeps the port for it
        f"--cert-dir={certificate.parent}",  # it makes its own certificate there, once
        "--authorization-mode=RBAC",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={key}",
        f"--service-account-key-file={key}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--endpoint-reconciler-type=none",  # nobody reaches it under the address of its Service
        *arguments,
    ]
    controllers = [
        f"--kubeconfig={folder / 'controllers.kubeconfig'}",
        f"--controllers={','.join(_CONTROLLERS)}",
        f"--root-ca-file={certificate}",
        "--leader-elect=false",
        "--secure-port=0",  # it serves nobody
    ]
    return {
        "etcd": [str(binaries.etcd), *etcd],
        "kube-apiserver": [str(binaries.kube_apiserver), *api],
        "kube-controller-manager": [str(binaries.kube_controller_manager), *controllers],
    }


def _signing_key() -> str:
    """A new P-256 key for service accounts' tokens, as PEM.

    Any number below the curve's order is such a key, and RFC 5915 lets the public half be left out, which Go computes
    (crypto/x509.ParseECPrivateKey): so it needs neither a library nor a program.
    """
    number = b"\0" + secrets.token_bytes(31)  # 32 bytes, surely below the order
    prime256v1 = bytes.fromhex("a00a06082a8648ce3d030107")
    fields = b"\x02\x01\x01" + b"\x04\x20" + number + prime256v1  # version 1, the number, the curve
    text = _base64(b"\x30" + bytes([len(fields)]) + fields)
    return f"-----BEGIN EC PRIVATE KEY-----\n{text}\n-----END EC PRIVATE KEY-----\n"


def _kubeconfig(name: str, cluster: Mapping[str, str], token: str, context: Mapping[str, str]) -> str:
    known: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **context}}],
        "current-context": name,
    }
    return json.dumps(known, indent=2) + "\n"  # JSON is YAML


def _rows(folder: Path) -> list[list[str]]:
    """The file of tokens: token, user, id, groups (`--token-auth-file` of kube-apiserver)."""
    path = folder / "tokens.csv"
    return list(csv.reader(path.read_text().splitlines())) if path.exists() else []


def _tokens(folder: Path) -> dict[str, str]:
    return {user: token for token, user, *_ in _rows(folder)}


def _certificate(folder: Path) -> Path:
    return folder / "certificates" / "apiserver.crt"


def _log(folder: Path, name: str) -> Path:
    return folder / f"{name}.log"


def _pid_file(folder: Path) -> Path:
    return folder / "server.pid"


def _pid(folder: Path) -> int | None:
    return processes.pid_in(_pid_file(folder))


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
