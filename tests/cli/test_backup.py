"""``pinsock backup``: a key that is made in advance, and never in the place of anything."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from support.impostor import WAIT

from pinsock import Pin

from .tools import document, on_terminal, run, tiny_disk

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "correct horse battery"  # noqa: S105 - of keys that live for one test


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\nthe second line is nobody's business\n")
    return path


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(
        ["/usr/bin/openssl", *arguments], timeout=WAIT, check=True, capture_output=True, text=True
    ).stdout


# --- what it makes --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "ed25519"])
def test_a_key_its_csr_and_its_pin(tmp_path: Path, password: Path, kind: str) -> None:
    """openssl opens the key with the password, and finds one public key in both files."""
    key, csr = tmp_path / "backup.pem", tmp_path / "backup.csr"
    made = document("backup", "--out", key, "--key", kind, "--password-file", password)
    assert made == {"key": str(key), "csr": str(csr), "kind": kind, "pin": made["pin"]}

    assert key.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    public = openssl("pkey", "-in", key, "-passin", f"file:{password}", "-pubout")
    assert openssl("req", "-in", csr, "-noout", "-verify", "-pubkey") == public
    assert str(Pin.from_public_key(public)) == made["pin"]
    (found,) = document("pin", csr)
    assert found["pin"] == made["pin"]


def test_the_key_is_for_its_owner_alone(tmp_path: Path, password: Path) -> None:
    """Mode 0600, whatever the umask; nothing else was written."""
    folder = tmp_path / "folder"
    folder.mkdir()
    old = os.umask(0)
    try:
        assert run("backup", "--out", folder / "k", "--password-file", password).returncode == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE((folder / "k").stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["k", "k.csr"]


def test_the_names_stand_in_the_csr(tmp_path: Path, password: Path) -> None:
    """As they are compared: lower case, A-labels; addresses as addresses."""
    hosts = ["--host", "*.Example.com", "--host", "b\u00fccher.example", "--host", "192.0.2.1"]
    done = run("backup", "--out", tmp_path / "k.pem", *hosts, "--password-file", password)
    assert done.returncode == 0
    text = openssl("req", "-in", tmp_path / "k.csr", "-noout", "-text")
    assert "Subject: CN = *.example.com\n" in text
    assert "DNS:*.example.com, DNS:xn--bcher-kva.example, IP Address:192.0.2.1\n" in text


def test_people_are_told_what_to_do_with_it(tmp_path: Path, password: Path) -> None:
    """The line for the policy, ready to paste."""
    key = tmp_path / "k.pem"
    done = run("backup", "--out", key, "--password-file", password)
    pin = Pin.from_csr((tmp_path / "k.csr").read_bytes())
    assert done.stdout == (f"key  {key}  (encrypted)\ncsr  {tmp_path / 'k.csr'}\npin  {pin}\n")
    assert f'Add backup = ["{pin}"] to the host in pins.toml' in done.stderr


# --- the password ---------------------------------------------------------------------------------


def test_the_password_is_asked_for_twice(tmp_path: Path) -> None:
    """Two that differ are asked for again; none is shown."""
    key = tmp_path / "k.pem"
    with on_terminal("backup", "--out", key) as terminal:
        terminal.expect("Password of the new key: ")
        terminal.type(f"{PASSWORD}\n")
        terminal.expect("Repeat for confirmation: ")
        terminal.type("something else\n")
        terminal.expect("do not match.\nPassword of the new key: ")
        terminal.type(f"{PASSWORD}\n")
        terminal.expect("match.\nPassword of the new key: \nRepeat for confirmation: ")
        terminal.type(f"{PASSWORD}\n")
    assert terminal.status == 0
    assert PASSWORD not in terminal.text
    assert serialization.load_pem_private_key(key.read_bytes(), PASSWORD.encode())


def test_the_password_comes_from_a_descriptor(tmp_path: Path, password: Path) -> None:
    """Its first line."""
    key = tmp_path / "k.pem"
    with password.open("rb") as file:
        number = file.fileno()
        run("backup", "--out", key, "--password-fd", str(number), pass_fds=[number])
    assert serialization.load_pem_private_key(key.read_bytes(), PASSWORD.encode())


def test_without_a_terminal_nothing_is_made(tmp_path: Path) -> None:
    """A key without a password is no backup."""
    done = run("backup", "--out", tmp_path / "k.pem")
    assert (done.returncode, done.stdout) == (2, "")
    assert "give --password-file or --password-fd" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_short_password_is_refused(tmp_path: Path, password: Path) -> None:
    """The file may lie around for years."""
    password.write_text("short\n")
    done = run("backup", "--out", tmp_path / "k.pem", "--password-file", password)
    assert (done.returncode, done.stdout) == (2, "")
    assert "a password of 5 bytes is too short" in done.stderr
    assert list(tmp_path.iterdir()) == [password]


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """While the password is asked for."""
    with on_terminal("backup", "--out", tmp_path / "k.pem") as terminal:
        terminal.expect("Password of the new key: ")
        terminal.type("\x03")
    assert terminal.status == 130
    assert terminal.text.endswith("\npinsock: interrupted\n")
    assert list(tmp_path.iterdir()) == []


# --- files that are in the way, or cannot be made -------------------------------------------------


@pytest.mark.parametrize("name", ["k.pem", "k.csr"])
@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_what_is_there_is_never_overwritten(
    tmp_path: Path, password: Path, name: str, kind: str
) -> None:
    """Neither the key nor the CSR, nor what a link leads to; and nothing is half made."""
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    if kind == "file":
        (folder / name).write_text("precious")
    else:
        (folder / name).symlink_to(elsewhere)
        if kind == "link":
            elsewhere.write_text("precious")
    done = run("backup", "--out", folder / "k.pem", "--password-file", password)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"pinsock backup: {folder / name}: File exists, and is never overwritten; choose another "
        f"name\n"
    )
    assert [path.name for path in folder.iterdir()] == [name]
    assert elsewhere.exists() == (kind == "link")
    if kind != "broken link":
        assert (folder / name).read_text() == "precious"


def test_a_second_key_in_its_place_is_refused(tmp_path: Path, password: Path) -> None:
    """The first one may be pinned already."""
    key = tmp_path / "k.pem"
    assert run("backup", "--out", key, "--password-file", password).returncode == 0
    before = key.read_bytes()
    assert run("backup", "--out", key, "--password-file", password).returncode == 2
    assert key.read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path: Path, password: Path) -> None:
    """Said before anybody has thought of a password."""
    key = tmp_path / "none" / "k.pem"
    done = run("backup", "--out", key, "--password-file", password)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"pinsock backup: {key}: No such file or directory; check its name\n"


def test_a_full_disk(tmp_path: Path, password: Path) -> None:
    """The key fits and the CSR does not: neither is left behind."""
    with tiny_disk(tmp_path / "disk", 8192) as folder:
        (folder / "full").write_bytes(bytes(4096))
        done = run("backup", "--out", folder / "k.pem", "--password-file", password)
        left = [path.name for path in folder.iterdir()]
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"pinsock backup: {folder / 'k.csr'}: No space left on device; make room, or write to "
        f"another disk\n"
    )
    assert left == ["full"]


def test_a_folder_where_nothing_may_be_made(tmp_path: Path, password: Path) -> None:
    """Said before anybody has thought of a password."""
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    done = run(
        *("backup", "--out", folder / "k.pem", "--password-file", password), obeying_modes=True
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"pinsock backup: {folder / 'k.pem'}: Permission denied; have its owner let you, or "
        f"choose another file\n"
    )


def test_one_file_for_both_is_refused(tmp_path: Path, password: Path) -> None:
    """Even where the names differ in writing."""
    other = tmp_path / "." / "k.pem"
    done = run(
        *("backup", "--out", tmp_path / "k.pem", "--csr", f"{tmp_path}/./{other.name}"),
        *("--password-file", password),
    )
    assert done.returncode == 2
    assert "The key and its CSR need two files; give another --csr." in done.stderr
    assert list(tmp_path.iterdir()) == [password]


def test_a_name_that_is_none(tmp_path: Path, password: Path) -> None:
    """Before anything is made."""
    out = tmp_path / "k.pem"
    done = run("backup", "--out", out, "--host", "https://x/", "--password-file", password)
    assert done.returncode == 2
    assert "--host: 'https://x/': neither a host name nor an IPv6 address" in done.stderr
    assert not out.exists()
