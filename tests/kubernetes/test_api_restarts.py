"""What a restart forgets and what it keeps: the same on the simulator and on the real API server.

The tests look at secrets, which no controller makes: the real controllers take their time to come back.
"""

import pytest
from api import NAMESPACES, Api, compact, thing

from kubernetes_server import KubernetesServer


@pytest.fixture
def api(kubernetes: KubernetesServer) -> Api:
    return Api(kubernetes, kubernetes.token)


@pytest.fixture
def secrets(api: Api) -> str:
    return f"{NAMESPACES}/{api.namespace()}/secrets"


def test_a_restart_cuts_watches_and_keeps_objects(api: Api, secrets: str) -> None:
    made = api.post(secrets, thing("Secret", "q"))
    with api.watch(secrets, seconds=30, resourceVersion=made.version) as events:
        api.server.stop_api()
        with pytest.raises(ConnectionRefusedError):
            api.get(secrets)
        assert list(events) == []
    api.server.start_api()
    assert api.get(f"{secrets}/q").body == made.body
    with api.watch(secrets, resourceVersion=api.get(secrets).version) as events:
        api.post(secrets, thing("Secret", "r"))
        event = next(events)
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "r")


def test_a_watch_of_what_is_forgotten_is_an_error_within_the_stream(api: Api, secrets: str) -> None:
    version = api.get(secrets).version
    api.post(secrets, thing("Secret", "q"))
    api.server.stop_api()
    api.server.start_api()
    with api.watch(secrets, seconds=5, resourceVersion=version) as events:
        told = list(events)
    assert [event["type"] for event in told] == ["ERROR"]
    status = told[0]["object"]
    assert (status["kind"], status["reason"], status["code"]) == ("Status", "Expired", 410)
    assert status["message"].startswith(f"too old resource version: {version} (")


def test_a_page_that_came_too_late_is_gone_and_says_where_to_go_on(api: Api, secrets: str) -> None:
    for name in ("a", "b", "c"):
        api.post(secrets, thing("Secret", name))
    token = api.get(secrets, limit=1).body["metadata"]["continue"]
    api.post(secrets, thing("Secret", "b1"))
    compact(api)
    gone = api.get(secrets, limit=1, **{"continue": token})
    assert (gone.code, gone.body["reason"]) == (410, "Expired")
    rest = api.get(secrets, **{"continue": gone.body["metadata"]["continue"]})
    assert rest.names == ["b", "b1", "c"]
