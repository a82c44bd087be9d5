"""kubeconfigs are read as kubectl reads them, and what they may not ask for is refused, with advice and no secret."""

import asyncio
import base64
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from authority import Authority, Pair
from hanse.platforms.kubernetes import auth, kubeconfig
from hanse.platforms.kubernetes.auth import Account, sign_in
from hanse.ports.platform import Credential, PlatformUnavailable
from hanse.ports.transport import Call, NotAllowed

SERVER = "https://kubernetes.example:6443"
SECRET = "hunter2-hunter2"


def content(user: Any, cluster: Any = None, name: str = "fra", current: str = "fra") -> str:
    """A kubeconfig of one context."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": SERVER} if cluster is None else cluster}],
            "users": [{"name": f"{name}-user", "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-user"}}],
            "current-context": current,
        }
    )


def bind(source: str, endpoint: str = SERVER, **options: Any) -> Credential:
    return Credential("one", "k8s-fra", endpoint, source, options)


def opened(folder: Path, user: Any, cluster: Any = None, endpoint: str = SERVER, **options: Any) -> Account:
    file = folder / "config"
    file.write_text(content(user, cluster))
    return sign_in(bind(f"{file}#fra", endpoint, **options), {})


def token_of(account: Account) -> str:
    """What it would send."""
    headers = asyncio.run(account.headers(Call("GET", "/")))
    return headers.get("Authorization", "").removeprefix("Bearer ")


# ---- which files


def test_without_the_variable_the_file_at_home_is_read(tmp_path: Path) -> None:
    assert kubeconfig.search_path(tmp_path, "") == [tmp_path / ".kube" / "config"]
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(content({"token": "home"}))
    assert token_of(sign_in(bind("kubeconfig#fra"), {"HOME": str(tmp_path)})) == "home"


def test_of_several_files_the_first_that_names_a_thing_decides_about_it_whole(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "missing", "b")]
    files[0].write_text(content({"token": "from-a"}, current=""))
    files[2].write_text(
        content(
            {"token": "from-b", "tokenFile": "/never"},
            {"server": "https://other.example", "proxy-url": "http://p"},
        )
    )
    variable = {"KUBECONFIG": os.pathsep.join(["", *map(str, files), str(files[0])])}
    assert token_of(sign_in(bind("kubeconfig#fra"), variable)) == "from-a"
    assert token_of(sign_in(bind("kubeconfig#"), variable)) == "from-a"  # b says which context is current


def test_a_relative_path_in_the_variable_is_refused_as_the_working_directory_may_be_anybodys() -> None:
    with pytest.raises(PlatformUnavailable, match=r"\$KUBECONFIG names a relative path"):
        sign_in(bind("kubeconfig#fra"), {"KUBECONFIG": "config:/etc/config"})


def test_paths_in_a_file_are_relative_to_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kube"
    folder.mkdir()
    (folder / "token").write_text(SECRET + "\n")
    monkeypatch.chdir(tmp_path)
    account = opened(folder, {"tokenFile": "token"}, {"server": SERVER, "certificate-authority": "ca.crt"})
    assert token_of(account) == SECRET
    assert account.tls().cacert == str(folder / "ca.crt")


def test_nulls_of_go_programs_are_as_if_nothing_stood_there(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("clusters: null\ncontexts: null\nusers: null\ncurrent-context: null\n")
    with pytest.raises(PlatformUnavailable, match="there is no context fra") as caught:
        sign_in(bind(f"{tmp_path}/config#fra"), {})
    assert "no contexts" in caught.value.advice


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"users: [{{name: a, user: {{token: [{SECRET}]}}}}]",
            "users[0].user.token is not as a kubeconfig has it",
        ),
        (
            f"users: [{{name: a, user: {{client-key-data: '{SECRET}*'}}}}]",
            "client-key-data is not as a kubeconfig",
        ),
        (f"users: {SECRET}", "users is not as"),
        (f"users: [: {SECRET}", "this is no well-formed kubeconfig"),
        (f"a: {SECRET}\n---\nb: 1", "this is no well-formed kubeconfig"),
        (f"- {SECRET}", "this is no well-formed kubeconfig"),
    ],
)
def test_a_file_that_is_none_is_told_without_what_it_holds(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(PlatformUnavailable) as caught:
        sign_in(bind(f"{tmp_path}/config#fra"), {})
    assert message in str(caught.value)
    assert SECRET not in f"{caught.value} {caught.value.advice}"


def test_no_file_no_context_and_an_incomplete_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(PlatformUnavailable, match="there is no such file") as caught:
        sign_in(bind(f"{tmp_path}/config#fra"), {})
    assert str(tmp_path / "config") in caught.value.advice
    (tmp_path / "config").write_text(content({"token": "x"}, current=""))
    with pytest.raises(PlatformUnavailable, match="there is no context ber") as caught:
        sign_in(bind(f"{tmp_path}/config#ber"), {})
    assert "known are: fra" in caught.value.advice
    with pytest.raises(PlatformUnavailable, match="no current-context is set"):
        sign_in(bind(f"{tmp_path}/config#"), {})
    (tmp_path / "config").write_text("contexts: [{name: fra, context: {cluster: gone, user: x}}]")
    with pytest.raises(PlatformUnavailable, match="is of the cluster gone, which is not described"):
        sign_in(bind(f"{tmp_path}/config#fra"), {})


# ---- which endpoint


@pytest.mark.parametrize(
    ("server", "endpoint"),
    [
        (SERVER, f"{SERVER}/"),
        ("https://kubernetes.example", "https://kubernetes.example:443/"),
        ("https://rancher.example/k8s/clusters/c-1", "https://rancher.example/k8s/clusters/c-1/"),
        ("https://KUBERNETES.example:6443", SERVER),
    ],
)
def test_the_servers_address_may_be_written_as_people_do(tmp_path: Path, server: str, endpoint: str) -> None:
    assert token_of(opened(tmp_path, {"token": "x"}, {"server": server}, endpoint)) == "x"


@pytest.mark.parametrize(
    "server",
    [
        "https://elsewhere.example:6443",
        "http://kubernetes.example:6443",
        "https://kubernetes.example:6444",
        f"{SERVER}/k8s/clusters/c-1",
        f"https://{SECRET}@elsewhere.example",
        "https://[",
        "",
    ],
)
def test_a_context_of_another_endpoint_is_refused(tmp_path: Path, server: str) -> None:
    with pytest.raises(
        PlatformUnavailable, match=r"but the credential is bound to https://kubernetes\.example:6443"
    ) as no:
        opened(tmp_path, {"token": SECRET}, {"server": server})
    assert SECRET not in str(no.value)


@pytest.mark.parametrize(
    "endpoint", ["", "kubernetes.example", "ftp://a", "https://u:p@a", "https://a:x", "https://a?b"]
)
def test_a_bound_endpoint_that_is_no_address_is_refused(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(PlatformUnavailable, match="the bound endpoint is no address"):
        opened(tmp_path, {"token": "x"}, endpoint=endpoint)


def test_a_token_is_sent_in_the_clear_to_this_machine_alone(tmp_path: Path) -> None:
    assert (
        token_of(opened(tmp_path, {"token": "x"}, {"server": "http://127.0.0.1:1"}, "http://127.0.0.1:1"))
        == "x"
    )
    with pytest.raises(PlatformUnavailable, match="without TLS"):
        opened(tmp_path, {"token": "x"}, {"server": "http://kubernetes.example"}, "http://kubernetes.example")


# ---- what is not taken

CERTIFICATE = base64.b64encode(b"x").decode()
PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "plugin", "interactiveMode": "Never"}


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"username": "ann", "password": SECRET}, "signs in with a password"),
        ({"auth-provider": {"name": "oidc", "config": {"id-token": SECRET}}}, "has an auth-provider"),
        ({"token": SECRET, "as": "admin"}, "acts as somebody else"),
        ({"token": SECRET, "as-groups": ["system:masters"]}, "acts as somebody else"),
        ({"token": SECRET, "as-user-extra": {"scopes": ["all"]}}, "acts as somebody else"),
        ({"exec": {**PLUGIN, "args": [SECRET]}}, r"signs in by a program \(plugin\)"),
        (
            {"client-certificate-data": CERTIFICATE},
            "a certificate or a key, and not both|certificate or a key",
        ),
        ({"client-key-data": CERTIFICATE}, "certificate or a key"),
        ({}, "has nothing to sign in with"),
    ],
)
def test_ways_of_signing_in_that_are_not_taken_are_told(tmp_path: Path, user: Any, message: str) -> None:
    with pytest.raises(PlatformUnavailable, match=message) as caught:
        opened(tmp_path, user)
    assert "the user fra-user" in str(caught.value)
    assert caught.value.advice
    assert SECRET not in f"{caught.value} {caught.value.advice}"


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ({"proxy-url": f"http://ann:{SECRET}@proxy.example"}, "asks for a proxy"),
        ({"insecure-skip-tls-verify": True}, "asks not to check the server's certificate"),
        ({"certificate-authority-data": base64.b64encode(b"\xff\xfe").decode()}, "is no PEM"),
    ],
)
def test_a_kubeconfig_alone_weakens_no_connection(tmp_path: Path, cluster: Any, message: str) -> None:
    with pytest.raises(PlatformUnavailable, match=message) as caught:
        opened(tmp_path, {"token": "x"}, {"server": SERVER, **cluster})
    assert SECRET not in f"{caught.value} {caught.value.advice}"


def test_what_the_servers_own_configuration_says_goes_before_the_kubeconfig(tmp_path: Path) -> None:
    skip = {"server": SERVER, "insecure-skip-tls-verify": True}
    assert opened(tmp_path, {"token": "x"}, skip, insecure=True).tls().verify is False
    assert opened(tmp_path, {"token": "x"}, insecure=False).tls().verify is True
    both = {"server": SERVER, "certificate-authority": "a", "certificate-authority-data": CERTIFICATE}
    assert (
        opened(tmp_path, {"token": "x"}, both).tls().cadata == "x"
    )  # as in kubectl, data goes before a file
    tls = opened(tmp_path, {"token": "x"}, both, cacert="/b").tls()
    assert (tls.cacert, tls.cadata, tls.verify) == ("/b", None, True)
    named = opened(tmp_path, {"token": "x"}, {"server": SERVER, "tls-server-name": "other"}).tls()
    assert named.server_name == "other"


def test_an_option_that_is_not_known_is_no_option(tmp_path: Path) -> None:
    with pytest.raises(PlatformUnavailable, match="unknown options: allowExcec") as caught:
        opened(tmp_path, {"token": "x"}, allowExcec=True)
    assert "allowExec" in caught.value.advice


@pytest.mark.parametrize(
    "option",
    [{"insecure": "yes"}, {"insecure": 1}, {"allowExec": "true"}, {"cacert": True}, {"cacert": None}],
)
def test_an_option_of_another_type_is_told_and_means_nothing(tmp_path: Path, option: dict[str, Any]) -> None:
    with pytest.raises(PlatformUnavailable, match=f"the option {next(iter(option))} is not "):
        opened(tmp_path, {"token": "x"}, **option)


@pytest.mark.parametrize("source", ["token-file:k8s.token", "config#fra", "./config#"])
def test_a_relative_path_would_be_looked_for_where_a_commit_may_have_put_a_file(source: str) -> None:
    with pytest.raises(PlatformUnavailable, match="is a relative path"):
        sign_in(bind(source), {})


def test_a_relative_authority_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(PlatformUnavailable, match=r"ca\.crt is a relative path"):
        opened(tmp_path, {"token": "x"}, cacert="ca.crt")


@pytest.mark.parametrize("source", ["", "env", "fra", "#fra", "clouds.yaml", "kubeconfig:fra"])
def test_a_source_that_is_none_is_told_with_all_that_there_are(source: str) -> None:
    with pytest.raises(
        PlatformUnavailable, match="this is no source of a credential for Kubernetes"
    ) as caught:
        sign_in(bind(source), {})
    for known in ("kubeconfig#CONTEXT", "token-file:", "in-cluster"):
        assert known in caught.value.advice


# ---- tokens


def test_a_token_file_goes_before_a_token_and_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    account = opened(tmp_path, {"token": "fixed", "tokenFile": "token"})
    assert token_of(account) == "first"
    renewed = tmp_path / "renewed"
    renewed.write_text("other")  # as long as the first
    renewed.rename(file)  # as a kubelet and careful people do
    assert token_of(account) == "other"
    stamp = file.stat()
    with file.open("r+") as same:
        same.write("third")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert token_of(account) == "other", "nothing told that it changed"
    asyncio.run(account.renew())
    assert token_of(account) == "third"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty or no token"),
        ("two words", "is empty or no token"),
        ("ü", "no token"),
        (None, "No such file"),
    ],
)
def test_a_token_file_without_a_token_is_told(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "token").write_text(text)
    account = sign_in(bind(f"token-file:{tmp_path}/token", cacert="/ca"), {})
    assert account.tls().cacert == "/ca"
    with pytest.raises(NotAllowed, match=message):
        token_of(account)


def test_in_a_pod_its_own_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "SERVICE_ACCOUNT", tmp_path)
    (tmp_path / "token").write_text("pod")
    account = sign_in(bind("in-cluster"), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert token_of(account) == "pod"
    assert account.tls().cacert == str(tmp_path / "ca.crt")
    with pytest.raises(PlatformUnavailable, match="this is no pod"):
        sign_in(bind("in-cluster"), {})


def test_when_a_token_ends_is_read_from_the_token(tmp_path: Path) -> None:
    def jwt(claims: Any) -> str:
        return "x." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".y"

    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    for token, expected in (
        (jwt({"exp": ends.timestamp()}), [ends]),
        (jwt({"exp": "soon"}), []),
        (jwt([]), []),
        ("a.b.c", []),
        ("opaque", []),
    ):
        account = opened(tmp_path, {"token": token})
        token_of(account)
        assert [proof.until for proof in account.validity()] == expected


# ---- client certificates

AUTHORITY = Authority()


def as_data(pair: Pair) -> dict[str, str]:
    return {
        "client-certificate-data": base64.b64encode(pair.certificate).decode(),
        "client-key-data": base64.b64encode(pair.key).decode(),
    }


def test_a_client_certificate_may_be_data_or_files_which_are_read_again_when_it_is_not_taken(
    tmp_path: Path,
) -> None:
    account = opened(tmp_path, as_data(AUTHORITY.sign("ann")))
    assert token_of(account) == ""
    assert [proof.what for proof in account.validity()] == ["the client certificate of ann"]
    AUTHORITY.sign("ben").written(tmp_path, "one")
    account = opened(tmp_path, {"client-certificate": "one.crt", "client-key": "one.key", "token": "beside"})
    assert token_of(account) == "beside"
    shown = account.tls()
    AUTHORITY.sign("cat").written(tmp_path, "one")
    token_of(account)
    assert account.tls() is shown, "connections are kept while the certificate is"
    asyncio.run(account.renew())
    token_of(account)
    assert account.tls() is not shown
    assert account.validity()[0].what == "the client certificate of cat"


@pytest.mark.parametrize(
    ("since", "said"),
    [(timedelta(days=-3), "of ann expired at"), (timedelta(days=3), "of ann holds only from")],
)
def test_a_client_certificate_that_does_not_hold_now_is_told_before_it_is_used(
    tmp_path: Path, since: timedelta, said: str
) -> None:
    account = opened(tmp_path, as_data(AUTHORITY.sign("ann", since=datetime.now(UTC) + since)))
    with pytest.raises(NotAllowed, match=said) as caught:
        token_of(account)
    assert caught.value.advice


def test_a_client_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    account = opened(tmp_path, {"client-certificate-data": CERTIFICATE, "client-key-data": CERTIFICATE})
    with pytest.raises(NotAllowed, match="the client certificate cannot be read"):
        token_of(account)
    account = opened(tmp_path, {"client-certificate": "none.crt", "client-key": "none.key"})
    with pytest.raises(NotAllowed, match="No such file"):
        token_of(account)


# ---- exec plugins


def plugin(folder: Path, script: str, **asked: Any) -> Account:
    """An account whose plugin is this shell script."""
    program = folder / "plugin"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return opened(folder, {"exec": {**PLUGIN, "command": "./plugin", **asked}}, allowExec=True)


def answer(**status: Any) -> str:
    told = {"apiVersion": PLUGIN["apiVersion"], "kind": "ExecCredential", "status": status}
    return f"cat <<'END'\n{json.dumps(told)}\nEND"


@pytest.mark.parametrize("allowed", [None, False])
def test_a_plugin_runs_only_where_the_servers_own_configuration_says_true(
    tmp_path: Path, allowed: Any
) -> None:
    options = {} if allowed is None else {"allowExec": allowed}
    with pytest.raises(PlatformUnavailable, match="signs in by a program") as caught:
        opened(tmp_path, {"exec": PLUGIN}, **options)
    assert "allowExec: true" in caught.value.advice


def test_a_plugin_gets_its_arguments_its_variables_and_what_is_asked_of_it(tmp_path: Path) -> None:
    script = 'echo "$@" > told; echo "$REGION" >> told; echo "$KUBERNETES_EXEC_INFO" >> told\n' + answer(
        token=SECRET
    )
    account = plugin(tmp_path, script, args=["a b", "$HOME", ";x"], env=[{"name": "REGION", "value": "fra"}])
    assert token_of(account) == SECRET
    arguments, region, info = (tmp_path / "told").read_text().splitlines()  # it runs beside its kubeconfig
    assert (arguments, region) == ("a b $HOME ;x", "fra")
    assert json.loads(info) == {
        "apiVersion": PLUGIN["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}
    }  # fmt: skip


def test_what_a_plugin_gave_is_used_until_just_before_it_ends_or_is_not_taken(tmp_path: Path) -> None:
    count = "echo run >> runs\n"

    def runs() -> int:
        return len((tmp_path / "runs").read_text().split())

    account = plugin(tmp_path, count + answer(token="x"))
    token_of(account)
    token_of(account)
    assert runs() == 1
    asyncio.run(account.renew())
    token_of(account)
    assert runs() == 2
    for lasts, expected in ((timedelta(hours=1), 3), (timedelta(seconds=5), 5)):
        ends = (datetime.now(UTC) + lasts).isoformat()
        account = plugin(tmp_path, count + answer(token="x", expirationTimestamp=ends))
        token_of(account)
        token_of(account)
        assert runs() == expected


def test_a_plugin_may_give_a_client_certificate(tmp_path: Path) -> None:
    pair = AUTHORITY.sign("ann")
    given = answer(clientCertificateData=pair.certificate.decode(), clientKeyData=pair.key.decode())
    account = plugin(tmp_path, given)
    assert token_of(account) == ""
    assert account.tls().shown is not None
    assert account.validity()[0].what == "the client certificate of ann"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"echo {SECRET} >&2; exit 3", "ended with 3"),
        (f"echo {SECRET}", "printed no ExecCredential"),
        (answer(), "printed neither a token nor a certificate"),
        (answer(token=f"{SECRET} {SECRET}"), "no token"),
        (answer(clientKeyData=SECRET), "a certificate or a key, and not both"),
        (answer(token=SECRET).replace("k8s.io/v1", "k8s.io/v1beta1"), "another apiVersion"),
    ],
)
def test_a_plugin_that_fails_is_told_without_its_words(tmp_path: Path, script: str, message: str) -> None:
    with pytest.raises(NotAllowed, match=message) as caught:
        token_of(plugin(tmp_path, script, args=[SECRET]))
    assert "plugin" in str(caught.value)
    assert SECRET not in f"{caught.value} {caught.value.advice}"


def test_a_plugin_that_is_not_there_is_told_with_its_own_hint(tmp_path: Path) -> None:
    user = {"exec": {**PLUGIN, "command": "no-such-plugin", "installHint": "install it\nso"}}
    with pytest.raises(
        NotAllowed, match="the exec plugin no-such-plugin of the user fra-user is not there"
    ) as caught:
        token_of(opened(tmp_path, user, allowExec=True))
    assert caught.value.advice == "install it so"


@pytest.mark.parametrize(
    "more",
    [{"env": [{"name": "A=B", "value": ""}]}, {"command": "./no-program"}],
)
def test_a_plugin_that_cannot_be_run_is_told(tmp_path: Path, more: Any) -> None:
    (tmp_path / "no-program").write_bytes(b"\x7fELF\0")
    (tmp_path / "no-program").chmod(0o700)
    account = opened(tmp_path, {"exec": {**PLUGIN, "command": "/bin/true", **more}}, allowExec=True)
    with pytest.raises(NotAllowed, match="cannot be run"):
        token_of(account)


def test_a_plugin_that_asks_for_an_authority_which_cannot_be_read_is_told(tmp_path: Path) -> None:
    user = {"exec": {**PLUGIN, "command": "/bin/true", "provideClusterInfo": True}}
    account = opened(tmp_path, user, {"server": SERVER, "certificate-authority": "missing"}, allowExec=True)
    with pytest.raises(NotAllowed, match="cannot be told the cluster's authority: No such file"):
        token_of(account)


@pytest.mark.parametrize("token", [f"{SECRET}\n", f" {SECRET}"])
def test_blanks_around_a_token_in_the_kubeconfig_are_no_part_of_it(tmp_path: Path, token: str) -> None:
    assert token_of(opened(tmp_path, {"token": token})) == SECRET


@pytest.mark.parametrize("token", [f"{SECRET}\nX-Other: 1", f"{SECRET}é", " "])
def test_what_is_no_token_in_the_kubeconfig_is_never_sent_nor_told(tmp_path: Path, token: str) -> None:
    account = opened(tmp_path, {"token": token})
    with pytest.raises(NotAllowed, match="the token of the user fra-user is empty or no token") as caught:
        token_of(account)
    assert SECRET not in str(caught.value)


def test_a_plugin_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "EXEC_SECONDS", 0.2)
    account = plugin(tmp_path, "echo $$ > pid; exec sleep 60")
    began = time.monotonic()
    with pytest.raises(NotAllowed, match="gave no answer"):
        token_of(account)
    assert time.monotonic() - began < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "has an unknown apiVersion"),
        ({"interactiveMode": "Always"}, "wants to ask somebody"),
        ({"interactiveMode": ""}, "wants to ask somebody"),  # v1 has no default
    ],
)
def test_a_plugin_that_cannot_be_served_is_refused(tmp_path: Path, asked: Any, message: str) -> None:
    with pytest.raises(PlatformUnavailable, match=message):
        plugin(tmp_path, answer(token="x"), **asked)


def test_an_older_plugin_needs_not_say_whether_it_asks(tmp_path: Path) -> None:
    older = "client.authentication.k8s.io/v1beta1"
    script = answer(token=SECRET).replace(str(PLUGIN["apiVersion"]), older)
    assert token_of(plugin(tmp_path, script, apiVersion=older, interactiveMode="")) == SECRET
