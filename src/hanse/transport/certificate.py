"""What a certificate says of itself: whose it is and how long it holds. Nothing is verified here.

The ssl module tells this only of the other side's certificate, and only once it has verified it; a file's it cannot
show (`get_ca_certs` leaves out what is no authority). So the five fields needed are read from the DER itself, by the
structure of RFC 5280, section 4.1.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_UTC_TIME, _VERSION = 0x17, 0xA0
_COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3
_LONG, _BITS = 0x80, 0x7F
_UNTIL_2050 = 50


@dataclass(frozen=True)
class Certificate:
    """The part of a certificate that people ask for."""

    name: str
    """The subject's common name; empty where it has none."""
    since: datetime
    until: datetime


def read_pem(text: str) -> Certificate:
    """The first certificate of a PEM text. Raises ValueError where there is none that can be read."""
    begin, end = text.find(_BEGIN), text.find(_END)
    if begin < 0 or end < begin:
        raise ValueError("no certificate")
    return read(ssl.PEM_cert_to_DER_cert(text[begin : end + len(_END)]))


def read(der: bytes) -> Certificate:
    """What a certificate in DER says. Raises ValueError where it is none."""
    try:
        (_, whole), *_ = _parts(der)
        (_, signed), *_ = _parts(whole)
        fields = [content for tag, content in _parts(signed) if tag != _VERSION]
        _, _, _, validity, subject = fields[:5]
        since, until = (_time(tag, content) for tag, content in _parts(validity))
        return Certificate(_common_name(subject), since, until)
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("no certificate") from error


def _common_name(subject: bytes) -> str:
    for _, names in _parts(subject):
        for _, pair in _parts(names):
            (_, oid), (_, value) = _parts(pair)
            if oid == _COMMON_NAME:
                return value.decode()
    return ""


def _time(tag: int, content: bytes) -> datetime:
    """RFC 5280, 4.1.2.5: UTCTime until 2049, its years from 50 on being 19xx; then GeneralizedTime."""
    text = content.decode()
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _UNTIL_2050 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element; tags above 30 do not occur in what is read here."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & _LONG:
            size = length & _BITS
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("no certificate")
        yield tag, data[at : at + length]
        at += length
