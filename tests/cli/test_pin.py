"""``pinsock pin``: the same pin from whatever a key's public half stands in."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.impostor import HOST, WAIT

from pinsock import Pin
from pinsock._throwaway import Authority

from .tools import document, on_terminal, run

if TYPE_CHECKING:
    from pathlib import Path

    from pinsock._throwaway import Credential

PASSWORD = "correct horse"  # noqa: S105 - of files that live for one test


class Files(NamedTuple):
    """One key, in every form that openssl writes."""

    folder: Path
    pin: Pin


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["/usr/bin/openssl", *arguments],
        cwd=folder,
        timeout=WAIT,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def files(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Made by openssl, so that nothing here reads only what we write ourselves."""
    folder = tmp_path_factory.mktemp("files")
    credential = Authority("the middle", authority).issue(HOST)
    (folder / "key.pem").write_bytes(credential.key_pem)
    (folder / "chain.pem").write_bytes(credential.chain_pem)
    for command in (
        "x509 -in chain.pem -out cert.pem",
        "x509 -in chain.pem -outform DER -out cert.der",
        "pkey -in key.pem -outform DER -out key.der",
        "ec -in key.pem -out ec.pem",
        "pkey -in key.pem -pubout -out public.pem",
        "pkey -in key.pem -pubout -outform DER -out public.der",
        f"req -new -key key.pem -subj /CN={HOST} -out request.pem",
        "req -in request.pem -outform DER -out request.der",
        "crl2pkcs7 -nocrl -certfile cert.pem -out bundle.p7b",
        "crl2pkcs7 -nocrl -certfile cert.pem -outform DER -out bundle.p7c",
        "pkcs12 -export -in cert.pem -inkey key.pem -passout pass: -out open.p12",
    ):
        openssl(folder, *command.split())
    export = ("pkcs12", "-export", "-in", "chain.pem", "-inkey", "key.pem", "-out", "locked.p12")
    openssl(folder, *export, "-passout", f"pass:{PASSWORD}")
    (folder / "password").write_text(f"{PASSWORD}\n")
    openssl(
        folder,
        *["pkey", "-in", "key.pem", "-aes256", "-passout", "file:password", "-out", "locked.pem"],
    )
    return Files(folder, credential.pin)


# --- what it reads --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("cert.pem", "certificate"),
        ("cert.der", "certificate"),
        ("key.pem", "private key"),
        ("key.der", "private key"),
        ("ec.pem", "private key"),
        ("public.pem", "public key"),
        ("public.der", "public key"),
        ("request.pem", "CSR"),
        ("request.der", "CSR"),
        ("bundle.p7b", "certificate"),
        ("bundle.p7c", "certificate"),
        ("open.p12", "certificate"),
    ],
)
def test_one_key_has_one_pin_in_whatever_form(files: Files, name: str, what: str) -> None:
    """In a file, and on standard input."""
    (found,) = document("pin", files.folder / name)
    assert (found["of"], found["pin"]) == (what, str(files.pin))
    assert found["file"] == str(files.folder / name)
    (found,) = document("pin", "-", stdin=(files.folder / name).read_bytes())
    assert (found["file"], found["of"], found["pin"]) == ("-", what, str(files.pin))


def test_all_that_is_in_a_bundle_has_its_pin(files: Files, authority: Authority) -> None:
    """Certificates, a key and a request in one file, in their order; other things are left out."""
    bundle = files.folder / "bundle.pem"
    names = ("chain.pem", "key.pem", "request.pem")
    parts = [(files.folder / name).read_text() for name in names]
    bundle.write_text(
        "a note\n".join(parts) + authority.pem + "-----BEGIN X-----\n-----END X-----\n"
    )
    found = document("pin", bundle)
    assert [one["of"] for one in found] == [
        *("certificate", "certificate", "private key", "CSR", "certificate"),
    ]
    assert [one["pin"] for one in found][2:] == [str(files.pin)] * 2 + [str(authority.pin)]
    leaf = found[0]["certificate"]
    assert leaf["subject"] == f"CN={HOST}"
    whole = Pin.from_certificate((files.folder / "cert.pem").read_text(), "certificate")
    assert leaf["certificate_pin"] == str(whole)


def test_a_pkcs12_file_asks_for_its_password(files: Files) -> None:
    """On the terminal, without showing it; the answer has the whole chain."""
    with on_terminal("pin", files.folder / "locked.p12", columns=200) as terminal:
        terminal.expect("Password of ")
        terminal.type(f"{PASSWORD}\n")
    assert terminal.status == 0
    assert PASSWORD not in terminal.text
    assert str(files.pin) in terminal.text
    assert "CN=the middle" in terminal.text


def test_the_password_comes_from_a_file_or_a_descriptor(files: Files) -> None:
    """For scripts; one password serves several files."""
    locked = files.folder / "locked.p12"
    found = document("pin", locked, locked, "--password-file", files.folder / "password")
    assert len(found) == 4
    with open(files.folder / "password", "rb") as password:
        number = password.fileno()
        found = document("pin", locked, "--password-fd", str(number), pass_fds=[number])
    assert found[0]["pin"] == str(files.pin)


def test_without_a_terminal_it_says_how_to_give_a_password(files: Files) -> None:
    """It does not wait for somebody who is not there."""
    done = run("pin", files.folder / "locked.p12")
    assert (done.returncode, done.stdout) == (2, "")
    assert "and there is no terminal to ask for it; give --password-file or --password-fd" in (
        done.stderr
    )


def test_the_forms_of_a_pin(files: Files) -> None:
    """Each is read back to the same pin."""
    for form in ("sha256", "curl", "hpkp", "hex", "tlsa"):
        done = run("pin", files.folder / "cert.pem", "--format", form)
        text = done.stdout.splitlines()[1].partition("  ")[0]
        assert Pin.parse(text) == files.pin
        assert text == files.pin.to_text(form)  # type: ignore[arg-type]


# --- bad input ------------------------------------------------------------------------------------


def refused(path: Path, *arguments: str | Path, obeying_modes: bool = False) -> str:
    """The one line that says what and what next."""
    done = run("pin", path, *arguments, obeying_modes=obeying_modes)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1
    start = f"pinsock pin: {path}: "
    assert done.stderr.startswith(start)
    return done.stderr.removeprefix(start).rstrip("\n")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no certificate, key, CSR or PKCS #12 file; give another file"),
        (b"hello\n", "file (it begins with 'hello\\n'); give another file"),
        (b"\x1b[2J", "file (it begins with '\\x1b[2J'); give another file"),
        (b"0\x82\x01", "file (it begins with '0\\x82\\x01'); give another file"),
        (b"0\x03\x02\x01\x00", "not a certificate in DER"),
        (b"-----BEGIN X-----\n-----END X-----\n", "file (it begins with '-----BEGIN X-----"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "is not base64"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB", "file (it begins with '-----BEGIN CERTIFICATE"),
    ],
    ids=["empty", "text", "escape", "cut DER", "other DER", "other PEM", "damaged", "cut PEM"],
)
def test_a_file_that_is_not_what_it_says(tmp_path: Path, content: bytes, why: str) -> None:
    """Its beginning is shown, escaped."""
    path = tmp_path / "file.pem"
    path.write_bytes(content)
    assert why in refused(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Or is a folder."""
    assert refused(tmp_path / "none") == "No such file or directory; check its name"
    assert refused(tmp_path) == "Is a directory; give a file"


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """Whose permission is needed is said."""
    path = tmp_path / "secret.pem"
    path.touch(mode=0)
    said = refused(path, obeying_modes=True)
    assert said == "Permission denied; have its owner let you, or choose another file"


def test_a_file_without_end() -> None:
    """It is not read to its end."""
    done = run("pin", "/dev/zero")
    assert (done.returncode, done.stdout) == (2, "")
    assert "/dev/zero: longer than 10000000 bytes" in done.stderr


def test_the_other_files_are_read_for_all_that(files: Files, tmp_path: Path) -> None:
    """What can be told is told, and the status says that it was not all."""
    bad = tmp_path / "bad"
    bad.write_text("bad")
    missing = tmp_path / "missing"
    done = run("pin", bad, files.folder / "cert.pem", missing, files.folder / "public.der")
    assert done.returncode == 2
    assert done.stdout.count(str(files.pin)) == 2
    assert done.stderr.count("\n") == 2


def test_an_encrypted_key_is_not_guessed_at(files: Files) -> None:
    """How its public half is encoded cannot be seen, and a wrong pin locks everybody out."""
    assert "take the pin from the key's certificate" in refused(files.folder / "locked.pem")


def test_a_key_whose_pin_is_ambiguous_is_refused(files: Files, tmp_path: Path) -> None:
    """A compressed point: its certificate may have it either way."""
    path = tmp_path / "compressed.pem"
    openssl(files.folder, "ec", "-in", "key.pem", "-conv_form", "compressed", "-out", str(path))
    assert "the key's point is compressed; take the pin from the key's certificate" in refused(path)


def test_a_wrong_password(files: Files, tmp_path: Path) -> None:
    """It cannot be told from a damaged file, and that is said."""
    password = tmp_path / "password"
    password.write_text("wrong\n")
    said = refused(files.folder / "locked.p12", "--password-file", password)
    assert said.startswith("the password is wrong or the file is damaged")


def test_a_password_file_that_is_empty(files: Files, tmp_path: Path) -> None:
    """An empty first line is no password."""
    password = tmp_path / "password"
    password.write_text("\n")
    done = run("pin", files.folder / "locked.p12", "--password-file", password)
    assert done.returncode == 2
    assert f"{password}: a password of 1 to 1023 bytes is expected in the first line" in done.stderr


def test_a_certificate_with_a_hostile_subject_is_escaped(
    authority: Authority, tmp_path: Path
) -> None:
    """It may come from anywhere."""
    path = tmp_path / "evil.pem"
    credential: Credential = authority.issue("x", subject="\x1b[31m\nforged", key=ec_key())
    path.write_bytes(credential.chain_pem)
    done = run("pin", path)
    assert len(done.stdout.splitlines()) == 2
    assert "\x1b" not in done.stdout


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())
