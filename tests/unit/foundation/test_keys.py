"""Public keys are read as people paste them, and what is none is told."""

from __future__ import annotations

import base64
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.foundation import keys
from hanse.foundation.keys import BadKey, PublicKey, read_gpg, read_gpg_file, read_ssh
from signing import Gpg, gnupg, ssh_key


@pytest.fixture(scope="module")
def gpg() -> Iterator[Gpg]:
    with tempfile.TemporaryDirectory() as place, gnupg(Path(place) / "g") as made:
        yield made


@pytest.mark.parametrize(
    "sort",
    [
        ("-t", "ed25519"),
        ("-t", "ecdsa", "-b", "256"),
        ("-t", "ecdsa", "-b", "521"),
        ("-t", "rsa", "-b", "2048"),
    ],
    ids=lambda sort: "".join(sort[1:]),
)
def test_an_ssh_key_has_the_fingerprint_that_ssh_keygen_tells(tmp_path: Path, sort: tuple[str, ...]) -> None:
    key = ssh_key(tmp_path, "key", *sort)
    read = read_ssh(f"  {key.public} and a comment\n")
    assert isinstance(read, PublicKey)
    assert read.fingerprint == key.fingerprint
    assert read.text == " ".join(key.public.split()[:2])


@pytest.mark.parametrize("sort", ["ed25519", "rsa2048", "nistp256"])
def test_an_openpgp_key_has_the_fingerprint_that_gpg_tells(gpg: Gpg, sort: str) -> None:
    gpg.run("--quick-gen-key", f"{sort}@example.org", sort, "sign", "1d")
    rows = gpg.run("--list-keys", "--with-colons", f"={sort}@example.org").splitlines()
    fingerprint = next(row.split(":")[9] for row in rows if row.startswith("fpr"))
    text = gpg.exported(fingerprint).public
    headed = text.replace("BLOCK-----\n", "BLOCK-----\nVersion: 1\n", 1)
    for written in (text, text.replace("\n", "\r\n"), f"Comment\n{text}\n", headed):
        read = read_gpg(written)
        assert isinstance(read, PublicKey), written
        assert (read.form, read.fingerprint) == ("gpg", fingerprint)


def test_a_key_with_subkeys_and_many_names_is_one_key(gpg: Gpg) -> None:
    key = gpg.key("many")
    gpg.run("--quick-add-uid", key.fingerprint, "Another <other@example.org>")
    gpg.run("--quick-add-key", key.fingerprint, "ed25519", "sign", "1d")
    read = read_gpg(gpg.exported(key.fingerprint).public)
    assert isinstance(read, PublicKey)
    assert read.fingerprint == key.fingerprint


def test_several_keys_in_one_field_are_told_and_in_a_file_are_read(gpg: Gpg) -> None:
    one, other = gpg.key("one"), gpg.key("other")
    for both in (
        one.public + other.public,
        gpg.run("--armor", "--export", one.fingerprint, other.fingerprint),
    ):
        read = read_gpg(both)
        assert isinstance(read, BadKey)
        assert "several keys" in read.message
    found = read_gpg_file(f"# ours\n{one.public}\nand\n{other.public}")
    assert [key.fingerprint for key in found if isinstance(key, PublicKey)] == [
        one.fingerprint,
        other.fingerprint,
    ]


def test_a_private_key_is_told_as_what_it_is_and_never_shown(gpg: Gpg, tmp_path: Path) -> None:
    ssh_key(tmp_path, "key")
    secret = gpg.run("--armor", "--export-secret-keys", gpg.key("secret").fingerprint)
    disguised = secret.replace("PRIVATE", "PUBLIC")
    for read in (read_ssh((tmp_path / "ssh-key").read_text()), read_gpg(secret), read_gpg(disguised)):
        assert isinstance(read, BadKey)
        assert "private key" in read.message
        assert "new" in f"{read.message} {read.advice}"
        assert "AAAA" not in read.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "this is no SSH key"),
        ("ssh-ed25519", "damaged or cut off"),
        ("ssh-ed25519 AAAA", "damaged or cut off"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "'ssh-dss' is no type of SSH key"),
        ("ann@example.org ssh-ed25519 AAAA", "is no type of SSH key"),
        ('command="x" ssh-ed25519 AAAA', "is no type of SSH key"),
        ("ssh-ed25519 AAAA\nssh-ed25519 BBBB", "more than one line"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILgqdBJk2Al0Txdy6TzuQ7D4jc7NPZvBMR9CxveMo", "damaged"),
        ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAILgqdBJk2Al0Txdy6TzuQ7D4jc7NPZvBMR9CxveMo5Xg", "damaged"),
        ("x" * 60_000, "longer than"),
    ],
)
def test_what_is_no_ssh_key_is_told(text: str, told: str) -> None:
    read = read_ssh(text)
    assert isinstance(read, BadKey)
    assert told in read.message
    assert read.advice


def test_a_short_rsa_key_is_told(tmp_path: Path) -> None:
    path = tmp_path / "short"
    command = ["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    read = read_ssh(Path(f"{path}.pub").read_text())
    assert isinstance(read, BadKey)
    assert "1024 bits is too short" in read.message


def test_what_is_no_openpgp_key_is_told(gpg: Gpg) -> None:
    key = gpg.key("whole").public
    lines = key.splitlines()
    signature = gpg.run("--armor", "--detach-sign", data="x").replace("SIGNATURE", "PUBLIC KEY BLOCK")
    for text, told in (
        ("", "no OpenPGP public key"),
        (lines[0], "no OpenPGP public key"),
        ("\n".join([*lines[:-3], *lines[-2:]]), "damaged"),  # at its end: elsewhere chance says what follows
        ("\n".join([*lines[:4], "!!!", *lines[4:]]), "damaged"),
        (signature, "no OpenPGP public key"),
    ):
        read = read_gpg(text)
        assert isinstance(read, BadKey), text
        assert told in read.message, text


@given(st.binary(max_size=200))
def test_no_bytes_at_all_break_the_reading(data: bytes) -> None:
    body = base64.b64encode(data).decode()
    read_ssh(f"ssh-ed25519 {body}")
    read_gpg(f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{body}\n-----END PGP PUBLIC KEY BLOCK-----")


@given(st.text(max_size=200))
def test_no_text_at_all_breaks_the_reading(text: str) -> None:
    for read in (read_ssh, read_gpg, read_gpg_file):
        read(text)
    assert keys.LONGEST
