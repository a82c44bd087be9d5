"""What is read of a certificate is what a whole library reads of it, and what is none raises nothing else."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from authority import Authority
from hanse.transport.certificate import read, read_pem

AUTHORITY = Authority()


@pytest.mark.parametrize("year", [1950, 1999, 2000, 2049, 2050, 2261])
@pytest.mark.parametrize("name", ["ann", "Jürgen Groß", "x" * 64])
def test_dates_and_names_are_those_that_a_library_reads(year: int, name: str) -> None:
    since = datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC)
    pem = AUTHORITY.sign(name, ("one", "two"), since=since, lasts=timedelta(days=400)).certificate
    found, told = read_pem(pem.decode()), x509.load_pem_x509_certificate(pem)
    assert (found.name, found.since, found.until) == (
        name,
        told.not_valid_before_utc,
        told.not_valid_after_utc,
    )


def test_the_first_of_a_chain_is_read_whatever_stands_before_it() -> None:
    chain = b"some words\n" + AUTHORITY.sign("ann").certificate + AUTHORITY.certificate
    assert read_pem(chain.decode()).name == "ann"


@pytest.mark.parametrize(
    "text", ["", "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE----- -----BEGIN CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        read_pem(text)


DER = ssl.PEM_cert_to_DER_cert(AUTHORITY.sign("ann").certificate.decode())


@given(st.integers(0, len(DER) - 1), st.integers(0, 255), st.integers(0, len(DER)))
def test_a_damaged_certificate_is_a_value_error_or_another_one(at: int, byte: int, end: int) -> None:
    damaged = bytearray(DER)
    damaged[at] = byte
    for data in (bytes(damaged), DER[:end]):
        try:
            read(data)
        except ValueError:
            continue
        assert len(data) == len(DER), "a part of a certificate is none"
