"""The starter of a real Kubernetes API server keeps its promises."""

import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hanse.demo import kubernetes as starter
from hanse.demo.kubernetes import ApiServer, KubernetesError
from kubernetes_server import USERS

real_kubernetes = True
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with starter.start(tmp_path_factory.mktemp("cluster"), users=USERS) as running:
        yield running


def call(cluster: ApiServer, path: str, body: object = None, *, token: str = "", method: str = "") -> Any:
    """The decoded answer; HTTPError for any failure."""
    return call_as(json.loads(cluster.kubeconfig("test", token=token or None)), path, body, method=method)


def call_as(config: Mapping[str, Any], path: str, body: object = None, *, method: str = "") -> Any:
    """As `call`, with nothing but what stands in a kubeconfig."""
    server = config["clusters"][0]["cluster"]
    authority = base64.b64decode(server["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
    request = urllib.request.Request(  # noqa: S310
        server["server"] + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {config['users'][0]['user']['token']}",
            "Content-Type": "application/json",
        },
        method=method or None,
    )
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def listens(url: str, host: str = "127.0.0.1") -> bool:
    with socket.socket() as caller:
        return caller.connect_ex((host, urllib.parse.urlsplit(url).port or 0)) == 0


def pids(folder: Path) -> dict[str, int]:
    """The three programs of a running server."""
    return {name: int((folder / f"{name}.pid").read_text()) for name in PROGRAMS}


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def refused(cluster: ApiServer, path: str, body: object = None, *, token: str) -> int:
    """The status of a call that must fail."""
    with pytest.raises(urllib.error.HTTPError) as error:
        call(cluster, path, body, token=token)
    with error.value as answer:
        return answer.code


def test_the_built_in_roles_have_their_rules_from_the_first_moment(cluster: ApiServer) -> None:
    for role in ("admin", "edit", "view"):
        assert call(cluster, f"{RBAC}/clusterroles/{role}")["rules"]


def test_it_says_which_kubernetes_it_is(cluster: ApiServer) -> None:
    assert call(cluster, "/version")["gitVersion"].startswith("v1.")


def test_it_listens_on_the_loopback_only(cluster: ApiServer) -> None:
    assert urllib.parse.urlsplit(cluster.url).hostname == "127.0.0.1"
    assert listens(cluster.url)
    assert not listens(cluster.url, "127.0.0.2")  # all of 127.0.0.0/8 is this machine


def test_secrets_are_readable_by_the_owner_only(cluster: ApiServer) -> None:
    assert cluster.folder.stat().st_mode & 0o077 == 0
    secret = ["tokens.csv", "service-accounts.pem", "controllers.kubeconfig", "certificates/apiserver.key"]
    assert {(cluster.folder / name).stat().st_mode & 0o777 for name in secret} == {0o600}
    assert cluster.token not in repr(cluster)


def test_each_user_is_who_the_token_says(cluster: ApiServer) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    for user, groups in USERS.items():
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        told = call(cluster, path, review, token=cluster.tokens[user])["status"]["userInfo"]
        assert told["username"] == user
        assert set(told["groups"]) == {*groups, "system:authenticated"}


def test_who_has_no_right_is_refused_and_who_is_unknown_too(cluster: ApiServer) -> None:
    assert refused(cluster, "/api/v1/namespaces", token=cluster.tokens["cat"]) == 403
    assert refused(cluster, "/api/v1/namespaces", token="nobody") == 401


def test_a_kubeconfig_names_its_context_and_namespace(cluster: ApiServer) -> None:
    config = json.loads(cluster.kubeconfig("fra", token=cluster.tokens["ann"], namespace="default"))
    assert config["current-context"] == "fra"
    assert config["contexts"] == [
        {"name": "fra", "context": {"cluster": "fra", "user": "fra", "namespace": "default"}}
    ]
    assert call_as(config, "/api")["kind"] == "APIVersions"


def test_a_service_account_gets_a_token_that_works(cluster: ApiServer) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/default"
    assert eventually(lambda: bool(call(cluster, "/api/v1/namespaces/default/serviceaccounts")["items"]))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = call(cluster, f"{path}/token", request)["status"]["token"]
    assert call(cluster, "/api", token=token)["kind"] == "APIVersions"
    assert refused(cluster, path, token=token) == 403


def test_a_deleted_namespace_is_gone_with_what_was_in_it(cluster: ApiServer) -> None:
    call(cluster, "/api/v1/namespaces", {"metadata": {"name": "short-lived"}})
    config_maps = "/api/v1/namespaces/short-lived/configmaps"
    call(cluster, config_maps, {"metadata": {"name": "one"}})
    call(cluster, "/api/v1/namespaces/short-lived", method="DELETE")

    def gone() -> bool:
        names = [item["metadata"]["name"] for item in call(cluster, "/api/v1/namespaces")["items"]]
        return "short-lived" not in names

    assert eventually(gone, 30)
    assert call(cluster, config_maps)["items"] == []


def test_every_namespace_gets_its_account_and_certificate_and_quotas_are_counted(cluster: ApiServer) -> None:
    call(cluster, "/api/v1/namespaces", {"metadata": {"name": "furnished"}})
    inside = "/api/v1/namespaces/furnished"
    quota = {"metadata": {"name": "some"}, "spec": {"hard": {"configmaps": "5"}}}
    call(cluster, f"{inside}/resourcequotas", quota)

    def names(what: str) -> list[str]:
        return [item["metadata"]["name"] for item in call(cluster, f"{inside}/{what}")["items"]]

    assert eventually(lambda: "default" in names("serviceaccounts"))
    assert eventually(lambda: "kube-root-ca.crt" in names("configmaps"))
    assert eventually(
        lambda: (
            call(cluster, f"{inside}/resourcequotas/some").get("status", {}).get("used")
            == {"configmaps": "1"}
        )
    )


def test_a_stopped_api_refuses_and_comes_back_with_its_data(cluster: ApiServer) -> None:
    call(cluster, "/api/v1/namespaces", {"metadata": {"name": "lasting"}})
    before = pids(cluster.folder)
    cluster.stop_api()
    assert not listens(cluster.url)
    assert not exists(before["kube-apiserver"])
    cluster.start_api()
    assert call(cluster, "/api/v1/namespaces/lasting")["metadata"]["name"] == "lasting"
    after = pids(cluster.folder)
    assert after["etcd"] == before["etcd"]
    assert after["kube-apiserver"] != before["kube-apiserver"]


def test_two_run_side_by_side_and_an_old_folder_goes_on(cluster: ApiServer, tmp_path: Path) -> None:
    with starter.start(tmp_path / "second", users={"ann": ()}) as second:
        assert second.url != cluster.url
        call(second, "/api/v1/namespaces", {"metadata": {"name": "of-the-second"}})
        with pytest.raises(KubernetesError, match="is running in"):
            starter.start(tmp_path / "second")
        programs = pids(second.folder)
    assert not any(exists(pid) for pid in programs.values())
    with starter.start(tmp_path / "second", users={"dan": ()}, detached=True) as again:
        assert again.tokens["ann"] == second.tokens["ann"]
        assert call(again, "/api/v1/namespaces/of-the-second", token=second.token)
        assert refused(again, "/api/v1/namespaces", token=again.tokens["dan"]) == 403
        assert ApiServer.attach(tmp_path / "second").tokens == again.tokens
    assert not again.running
    assert refused(cluster, "/api/v1/namespaces/of-the-second", token=cluster.token) == 404


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_whoever_started_it_however_that_ends(tmp_path: Path, how: signal.Signals) -> None:
    program = f"""
import time
from pathlib import Path
from hanse.demo import kubernetes
running = kubernetes.start(Path({str(tmp_path)!r}))
print("ready", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        programs = pids(tmp_path)
        assert all(exists(pid) for pid in programs.values())
        parent.send_signal(how)
    assert eventually(lambda: not any(exists(pid) for pid in programs.values()))
    with pytest.raises(KubernetesError, match="no Kubernetes API server is running"):
        ApiServer.attach(tmp_path)


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux lets a child end with a parent that is killed"
)
def test_nothing_is_left_when_even_its_keeper_is_killed(tmp_path: Path) -> None:
    running = starter.start(tmp_path)
    programs = pids(tmp_path)
    os.kill(running.pid, signal.SIGKILL)
    assert eventually(lambda: not any(exists(pid) for pid in programs.values()))
    running.stop()


def test_one_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        KubernetesError, match=r"kube-apiserver ended with status 1(?s:.*)unknown flag: --wrong"
    ):
        starter.start(tmp_path, arguments=["--wrong"])
    assert not any((tmp_path / f"{name}.pid").exists() for name in PROGRAMS)


def test_missing_programs_are_named_with_what_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KUBEBUILDER_ASSETS", "PATH", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(KubernetesError, match=r"kube-controller-manager(?s:.*)`make counterparts`"):
        starter.start(tmp_path / "cluster")


def test_programs_of_the_machine_come_before_built_ones_and_only_all_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def furnish(folder: Path, names: tuple[str, ...] = PROGRAMS) -> Path:
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch(mode=0o755)
        return folder

    old = furnish(tmp_path / "cache/hanse-counterparts/kubernetes-1.35.0-old")
    new = furnish(tmp_path / "cache/hanse-counterparts/kubernetes-1.36.3-new")
    os.utime(old, (1, 1))
    furnish(tmp_path / "cache/hanse-counterparts/kubernetes-1.36.3-half", PROGRAMS[:2])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(furnish(tmp_path / "assets", PROGRAMS[:2])))
    monkeypatch.setenv("PATH", str(tmp_path))

    def lie_in() -> Path:
        found = starter.find()
        assert found is not None
        return found.etcd.parent

    assert lie_in() == new
    monkeypatch.setenv("PATH", str(furnish(tmp_path / "path")))
    assert lie_in() == tmp_path / "path"
    (tmp_path / "assets/kube-controller-manager").touch(mode=0o755)
    assert lie_in() == tmp_path / "assets"
