"""A name stays one segment of a path, whatever it holds."""

from urllib.parse import unquote, urlsplit

import pytest

from hanse.platforms.kubernetes.paths import NAMESPACES, path_of


@pytest.mark.parametrize(
    "name",
    ["shop-prod", "system:discovery", "x?dryRun=All&force=true", "x#y", "a b", "%2e%2e", "a/../b", "ü"],
)
def test_no_name_becomes_a_query_a_fragment_or_another_path(name: str) -> None:
    url = urlsplit(f"https://kubernetes.example{path_of(NAMESPACES, name)}")
    assert (url.query, url.fragment) == ("", "")
    assert [unquote(part) for part in url.path.split("/")] == ["", "api", "v1", "namespaces", name]


def test_plain_names_stand_as_they_are() -> None:
    assert path_of(NAMESPACES, "hanse-system:a.b") == "/api/v1/namespaces/hanse-system:a.b"
