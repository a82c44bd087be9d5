"""Public keys as people paste them: OpenSSH's one line, and OpenPGP's armoured block.

Only their form is looked at, and their fingerprint computed: whether a signature is good, ssh-keygen and gpg say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

SSH_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
SHORTEST_RSA = 2048
"""Bits."""
LONGEST = 50_000
"""Characters of a key; with many names and signatures on it one of OpenPGP is long, but not that long."""

_PRIVATE = re.compile(r"PRIVATE KEY")
_ARMOR = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\n(?P<body>.*?)\n-----END PGP PUBLIC KEY BLOCK-----",
    re.DOTALL,
)
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]*={0,2}\s*(?:\n=(?P<sum>[A-Za-z0-9+/]{4})\s*)?")
_PUBLIC, _SECRET, _SUBKEY, _SECRET_SUBKEY = 6, 5, 14, 7
_ALLOWED = {2, _PUBLIC, 10, 12, 13, _SUBKEY, 17, 21}
"""Signatures, markers, trust, names, pictures, padding, and the keys themselves."""


class PublicKey(Struct, frozen=True):
    """A key that signatures can be checked with."""

    form: Literal["ssh", "gpg"]
    text: str
    """Of OpenSSH: the type and the key, without a comment. Of OpenPGP: base64 without the armour."""
    fingerprint: str
    """As ssh-keygen (`SHA256:…`) or gpg (hex digits) writes it."""


class BadKey(Struct, frozen=True):
    """A text that is no public key: what is wrong with it, and what to do."""

    message: str
    advice: str


class _Malformed(Exception):
    """The bytes are not what they should be."""


def read_ssh(text: str) -> PublicKey | BadKey:
    """The key in a line such as a `.pub` file has."""
    if wrong := _of_text(text):
        return wrong
    advice = "paste the one line of the .pub file, such as 'ssh-ed25519 AAAA…'"
    kind, _, rest = text.strip().partition(" ")
    encoded = rest.strip().partition(" ")[0]
    if "\n" in text.strip():
        return BadKey("this is more than one line", advice)
    if kind not in SSH_TYPES:
        sort = f"'{kind[:40]}' is no type of SSH key that can sign" if encoded else "this is no SSH key"
        return BadKey(sort, f"{advice}; types: {', '.join(SSH_TYPES)}")
    try:
        blob = base64.b64decode(encoded, validate=True)
        parts = list(_ssh_parts(blob))
        if parts[:1] != [kind.encode()] or len(parts) < 2:  # noqa: PLR2004 (the type, and at least one number)
            raise _Malformed
    except (binascii.Error, _Malformed):
        return BadKey("this SSH key is damaged or cut off", advice)
    if kind == "ssh-rsa" and (bits := int.from_bytes(parts[-1]).bit_length()) < SHORTEST_RSA:
        return BadKey(f"an RSA key of {bits} bits is too short", "make one of ed25519: ssh-keygen -t ed25519")
    return PublicKey("ssh", f"{kind} {encoded}", ssh_fingerprint(blob))


def ssh_fingerprint(blob: bytes) -> str:
    """A key's fingerprint, of its bytes."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def read_gpg(text: str) -> PublicKey | BadKey:
    """The key in one armoured block, as `gpg --armor --export` writes it."""
    if wrong := _of_text(text):
        return wrong
    advice = "paste what `gpg --armor --export FINGERPRINT` prints, all of it"
    blocks = list(_ARMOR.finditer(_lines(text)))
    if len(blocks) != 1:
        what = "this is no OpenPGP public key" if not blocks else "these are several keys"
        return BadKey(what, advice if not blocks else "declare each key as a signer of its own")
    try:
        packets = _dearmored(blocks[0]["body"])
        primary = _primary(packets)
    except _Malformed as wrong_form:
        return BadKey(str(wrong_form) or "this OpenPGP key is damaged or cut off", advice)
    return PublicKey("gpg", base64.b64encode(packets).decode(), _gpg_fingerprint(primary))


def read_gpg_file(text: str) -> list[PublicKey | BadKey]:
    """The keys of a file with any number of armoured blocks and other text between them."""
    return [read_gpg(block[0]) for block in _ARMOR.finditer(_lines(text))]


def _lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines())


def _of_text(text: str) -> BadKey | None:
    if _PRIVATE.search(text):
        message = "this is a private key, which is no secret any more"
        return BadKey(message, "make a new key, and paste its public part")
    if len(text) > LONGEST:
        return BadKey(
            f"this key is longer than {LONGEST} characters", "export it with --export-options export-minimal"
        )
    return None


def _ssh_parts(blob: bytes) -> Iterator[bytes]:
    """The strings that an SSH key is made of."""
    at = 0
    while at < len(blob):
        end = at + 4 + int.from_bytes(blob[at : at + 4])
        if len(blob) < at + 4 or end > len(blob):
            raise _Malformed
        yield blob[at + 4 : end]
        at = end


def _dearmored(body: str) -> bytes:
    headers, blank, content = body.partition("\n\n")
    if not blank or any(": " not in line for line in headers.splitlines() if line):
        headers, content = "", body.lstrip("\n")
    match = _BASE64.fullmatch(content)
    if match is None:
        raise _Malformed
    encoded = "".join(content[: match.start("sum") - 2 if match["sum"] else None].split())
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise _Malformed from None


def _primary(packets: bytes) -> bytes:
    """The body of the one primary key."""
    found: list[bytes] = []
    for number, (tag, body) in enumerate(_packets(packets)):
        if tag in (_SECRET, _SECRET_SUBKEY):
            raise _Malformed("this holds a private key, which is no secret any more; make a new one")
        if tag not in _ALLOWED or (number == 0 and tag != _PUBLIC):
            raise _Malformed("this is no OpenPGP public key")
        if tag == _PUBLIC:
            found.append(body)
    if len(found) != 1:
        raise _Malformed("these are several keys; declare each as a signer of its own" if found else "")
    return found[0]


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        first = data[at]
        if not first & 0x80:
            raise _Malformed
        if first & 0x40:
            tag, (length, at) = first & 0x3F, _new_length(data, at + 1)
        else:
            tag, octets = (first >> 2) & 0x0F, (1, 2, 4, 0)[first & 3]
            length, at = int.from_bytes(data[at + 1 : at + 1 + octets]), at + 1 + octets
            if not octets:
                raise _Malformed
        if at + length > len(data):
            raise _Malformed
        yield tag, data[at : at + length]
        at += length


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    head = data[at : at + 6]
    if not head or 224 <= head[0] < 255:  # noqa: PLR2004 (a length in parts, which a key does not have)
        raise _Malformed
    if head[0] < 192:  # noqa: PLR2004
        return head[0], at + 1
    if head[0] < 224:  # noqa: PLR2004
        return ((head[0] - 192) << 8) + int.from_bytes(head[1:2]) + 192, at + 2
    return int.from_bytes(head[1:5]), at + 5


def _gpg_fingerprint(body: bytes) -> str:
    version = body[0] if body else 0
    match version:
        case 4:
            made = hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body, usedforsecurity=False).hexdigest()
        case 5 | 6:
            mark = b"\x9a" if version == 5 else b"\x9b"  # noqa: PLR2004
            made = hashlib.sha256(mark + len(body).to_bytes(4) + body).hexdigest()
        case _:
            raise _Malformed("OpenPGP keys of this version cannot be used; make a new one")
    return made.upper()
