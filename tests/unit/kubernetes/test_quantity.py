"""Amounts have one text each, the one that the API server gives them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.platforms.kubernetes.quantity import amount, canonical

CASES = {
    "0": "0",
    "0Ki": "0",
    "-0": "0",
    "00.000": "0",
    "1": "1",
    "+5": "5",
    "05": "5",
    "1.": "1",
    ".5": "500m",
    "1.500": "1500m",
    "0.5": "500m",
    "0.001": "1m",
    "100m": "100m",
    "1000m": "1",
    "1500m": "1500m",
    "1u": "1u",
    "0.1n": "1n",
    "1.1n": "2n",
    "-1.1n": "-2n",
    "1000": "1k",
    "1500": "1500",
    "1000k": "1M",
    "2000000": "2M",
    "1.5G": "1500M",
    "10E": "10E",
    "100E": "100E",
    "1e3": "1e3",
    "1E3": "1e3",
    "1e4": "10e3",
    "12e-3": "12e-3",
    "5e0": "5",
    "1Ki": "1Ki",
    "0.5Ki": "512",
    "0.5Gi": "512Mi",
    "0.0001Ki": "102400u",
    "1024Ki": "1Mi",
    "1023Ki": "1023Ki",
    "1536Mi": "1536Mi",
    "1.5Gi": "1536Mi",
    "1024Gi": "1Ti",
    "-2048Mi": "-2Gi",
    "1.1Ki": "1126400m",
    "100Ei": "9223372036854775807",
    "1073741824": "1073741824",
}


@pytest.mark.parametrize(("written", "meant"), CASES.items())
def test_an_amount_has_the_text_that_the_api_server_gives_it(written: str, meant: str) -> None:
    assert canonical(written) == meant


def test_numbers_of_yaml_are_amounts() -> None:
    assert [canonical(2), canonical(0.5), canonical(1e-7), canonical(1000)] == ["2", "500m", "100e-9", "1k"]


@pytest.mark.parametrize(
    "written",
    [
        "", " ", "1 ", "Gi", ".", "1Gb", "1gi", "1e", "1KI", "1mi", "--1", "1,5", "NaN", "inf", "True", "1_000",
        "\u0661", "1e99999",
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        canonical(written)


def test_an_amount_that_kubernetes_would_write_wrongly_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        canonical("1000E")


WRITTEN = st.builds(
    lambda sign, number, suffix: f"{sign}{number}{suffix}",
    st.sampled_from(["", "-", "+"]),
    st.one_of(
        st.integers(0, 10**9).map(str),
        st.tuples(st.integers(0, 10**6), st.integers(0, 999)).map(lambda n: f"{n[0]}.{n[1]:03}"),
    ),
    st.sampled_from(["", "m", "u", "n", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "E-2", "e0"]),
)


@given(WRITTEN)
def test_a_canonical_text_is_its_own_and_as_much_as_before(written: str) -> None:
    assert canonical(canonical(written)) == canonical(written)
    assert amount(canonical(written)) == amount(written)


@given(WRITTEN, WRITTEN)
def test_amounts_compare_by_how_much_they_are(one: str, other: str) -> None:
    assert (amount(one) < amount(other)) == (amount(canonical(one)) < amount(canonical(other)))


def test_units_are_those_of_their_names() -> None:
    assert amount("1Gi") == 2**30
    assert amount("1G") == 10**9
    assert amount("1m") == Fraction(1, 1000)
