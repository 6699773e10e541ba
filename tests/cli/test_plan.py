"""``pinsock plan``: findings and steps for hosts that are looked at, given, or not reached."""

from __future__ import annotations

import datetime
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from icalendar import Calendar
from support.contexts import server
from support.impostor import HOST, WAIT, sends, serving

from pinsock import Pin, PinPolicy, PinSet
from pinsock._throwaway import Authority, ec_key

from .tools import background, document, on_terminal, run

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from support.impostor import Impostor

    from pinsock._throwaway import Credential

    At = Callable[[Impostor], str]
    Asked = Callable[[Impostor], tuple[str | Path, ...]]
    Write = Callable[[PinSet], Path]
    Given = tuple[str | Path, ...]

TODAY = datetime.datetime.now(datetime.UTC).date()
DAY = datetime.timedelta(days=1)


@pytest.fixture
def policy(tmp_path: Path) -> Write:
    """Writes a policy for the one host, published long ago."""

    def write(pins: PinSet, host: str = HOST) -> Path:
        path = tmp_path / "pins.toml"
        path.write_text(PinPolicy({host: pins}).to_toml())
        os.utime(path, (0, datetime.datetime.now().timestamp() - 400 * 86400))
        return path

    return write


@pytest.fixture
def kept(tmp_path: Path, backup: Credential) -> Path:
    """A folder with the backup key, its CSR and other things."""
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "backup.pem").write_bytes(backup.key_pem)
    (folder / "README").write_text("where these came from\n")
    (folder / "older").mkdir()
    return folder


@pytest.fixture
def asked(ca: Path, at: At) -> Asked:
    """Arguments to look at a server of the authority that is trusted."""
    return lambda peer: (at(peer), "--cafile", ca)


@pytest.fixture
def given(good: Credential, kept: Path, tmp_path: Path) -> Given:
    """Arguments that say what the host shows, and where the backup key is."""
    (tmp_path / "www.pem").write_bytes(good.chain_pem)
    return ("--certificate", f"{HOST}={tmp_path / 'www.pem'}", "--backup-keys", kept)


def steps(shown: dict[str, object], kind: str) -> list[dict[str, object]]:
    rows = shown["steps"]
    assert isinstance(rows, list)
    return [row for row in rows if row["kind"] == kind]


def test_a_host_in_order_is_status_0_and_hears_nothing(
    good: Credential,
    backup: Credential,
    kept: Path,
    asked: Asked,
    policy: Write,
) -> None:
    """It was connected to, its certificate was seen, and no application byte was sent."""
    path = policy(PinSet(good.pin, backup.pin))
    with serving(server(good)) as peer:
        shown = document("plan", *asked(peer), "-p", path, "--backup-keys", kept, status=0)
        report = peer.report()
    assert report.shaken
    assert report.got_nothing()
    assert report.ended == "eof"
    assert shown["findings"] == []
    assert shown["hosts"] == [{"host": HOST, "certificates": 2, "problem": None}]
    (certificate,) = shown["certificates"]
    assert certificate["pin"] == str(good.pin)
    assert [pin["role"] for pin in shown["pins"]] == ["in use", "backup"]
    assert list(shown) == [
        "policy",
        "thresholds",
        "within",
        "hosts",
        "now",
        "findings",
        "steps",
        "certificates",
        "pins",
    ]


def test_a_host_with_another_key_is_a_lock_out(
    good: Credential, bad: Credential, asked: Asked, policy: Write
) -> None:
    """In words, plain where there is no terminal, and with the pin that would be needed."""
    path = policy(PinSet(good.pin, None))
    with serving(server(bad)) as peer:
        done = run("plan", *asked(peer), "-p", path)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "not-pinned" in done.stdout
    assert str(bad.pin) in done.stdout
    assert "of a lock-out" in done.stdout.splitlines()[-1]


def test_the_root_that_is_not_sent_is_compared_too(
    authority: Authority, good: Credential, asked: Asked, policy: Write
) -> None:
    """Under chain scope the verified chain counts, as on a connection."""
    path = policy(PinSet(authority.pin, None, scope="chain"))
    with serving(server(good)) as peer:
        shown = document("plan", *asked(peer), "-p", path, status=1)
    assert [finding["code"] for finding in shown["findings"]] == ["no-backup-on-purpose"]
    assert [pin["role"] for pin in shown["pins"]] == ["in use"]


def test_a_host_that_signs_for_itself_is_seen_and_said_not_to_be_verified(
    at: At, policy: Write
) -> None:
    """Its pin is all there is to it."""
    device = Authority(HOST).credential
    path = policy(PinSet(device.pin, None))
    with serving(server(device)) as peer:
        shown = document("plan", at(peer), "-p", path, status=1)
    assert [finding["code"] for finding in shown["findings"]] == ["no-backup-on-purpose"]
    assert shown["hosts"][0]["problem"].startswith("not verified: self-signed certificate")


def test_a_host_that_is_not_reached_is_status_3_and_named(
    good: Credential, backup: Credential, kept: Path, at: At, policy: Write
) -> None:
    """And what could not be compared is no pass."""
    path = policy(PinSet(good.pin, backup.pin))
    arguments = ("-p", path, "--backup-keys", kept)
    with serving(sends(first=b"220 no TLS here\r\n")) as peer:
        shown = document("plan", at(peer), *arguments, status=3)
    assert [finding["code"] for finding in shown["findings"]] == ["no-certificate"]
    assert "220 no TLS here" in shown["hosts"][0]["problem"]
    done = run("plan", at(peer), *arguments)  # and now nobody listens there
    assert done.returncode == 3
    assert "nothing listens there" in done.stderr


def test_a_certificate_that_is_given_is_not_fetched(
    good: Credential,
    backup: Credential,
    kept: Path,
    tmp_path: Path,
    policy: Write,
) -> None:
    """From PEM and from DER."""
    path = policy(PinSet(good.pin, backup.pin))
    (tmp_path / "www.pem").write_bytes(good.chain_pem)
    (tmp_path / "www.der").write_bytes(good.der)
    for name in ("www.pem", "www.der"):
        shown = document(
            "plan",
            "-p",
            path,
            "--certificate",
            f"{HOST}={tmp_path / name}",
            "--backup-keys",
            kept,
            status=0,
        )
        assert shown["certificates"][0]["pin"] == str(good.pin)


def test_backup_keys_are_found_by_csr_and_certificate_too(
    good: Credential, tmp_path: Path, policy: Write
) -> None:
    """An encrypted key cannot be read, and its CSR beside it says the pin."""
    key = ec_key()
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    path = policy(PinSet(good.pin, Pin.from_csr(csr)))
    (tmp_path / "www.pem").write_bytes(good.chain_pem)
    (tmp_path / "key.pem").write_bytes(encrypted)
    (tmp_path / "key.csr").write_bytes(csr)
    common = ("plan", "-p", path, "--certificate", f"{HOST}={tmp_path / 'www.pem'}")
    shown = document(*common, "--backup-keys", tmp_path / "key.csr", status=0)
    assert shown["findings"] == []
    done = run(*common, "--backup-keys", tmp_path / "key.pem")
    assert done.returncode == 1
    assert "backup-not-kept" in done.stdout
    assert "encrypted" in done.stderr
    gone = run(*common, "--backup-keys", tmp_path / "gone.csr")
    assert gone.returncode == 1
    assert "backup-not-kept" in gone.stdout
    assert "gone.csr: not found" in gone.stderr


def test_an_old_backup_key_is_told_by_the_date_of_its_file(
    good: Credential, backup: Credential, kept: Path, policy: Write
) -> None:
    """Where there is no other."""
    path = policy(PinSet(good.pin, backup.pin))
    two_years_ago = datetime.datetime.now().timestamp() - 730 * 86400
    os.utime(kept / "backup.pem", (two_years_ago, two_years_ago))
    shown = document("plan", "-p", path, "--offline", "--backup-keys", kept, status=1)
    assert "old-backup" in [finding["code"] for finding in shown["findings"]]


def test_a_switch_is_planned_and_put_off_if_it_comes_too_soon(
    good: Credential,
    backup: Credential,
    tmp_path: Path,
    policy: Write,
    given: Given,
) -> None:
    """To the key of a file, on a day."""
    path = policy(PinSet(good.pin, backup.pin))
    new = Authority().issue(HOST)
    (tmp_path / "next.pem").write_bytes(new.chain_pem)
    common = (
        "plan",
        "-p",
        path,
        *given,
        "--switch",
    )
    late = TODAY + 100 * DAY
    shown = document(*common, f"{HOST}={tmp_path / 'next.pem'}@{late}", status=0)
    (switch,) = steps(shown, "switch-key")
    assert (switch["date"], switch["pin"]) == (str(late), str(new.pin))
    soon = TODAY + 3 * DAY
    shown = document(*common, f"{HOST}={tmp_path / 'next.pem'}@{soon}", status=1)
    assert [finding["code"] for finding in shown["findings"]] == ["changes-too-soon"]
    (switch,) = steps(shown, "switch-key")
    assert switch["date"] == str(TODAY + 31 * DAY)
    shown = document(*common, f"{HOST}@{late}", status=0)
    assert steps(shown, "switch-key")[0]["pin"] == str(backup.pin)


def test_renewals_that_change_the_key_are_said_with_an_option(
    good: Credential, backup: Credential, policy: Write, given: Given
) -> None:
    """What most ACME clients do unless they are told not to."""
    path = policy(PinSet(good.pin, backup.pin))
    shown = document("plan", "-p", path, *given, "--new-key-on-renewal", status=1)
    assert [finding["code"] for finding in shown["findings"]] == ["changes-too-soon"]
    assert steps(shown, "switch-key")[0]["pin"] == str(backup.pin)


def test_a_lost_key_is_replaced_today(
    good: Credential,
    backup: Credential,
    policy: Write,
    given: Given,
) -> None:
    """By the backup key that everybody has."""
    path = policy(PinSet(good.pin, backup.pin))
    common = ("plan", "-p", path, *given)
    shown = document(*common, "--lost", HOST, status=0)
    (switch,) = steps(shown, "switch-key")
    assert (switch["date"], switch["pin"]) == (str(TODAY), str(backup.pin))


def test_dates_of_publication_can_be_said_for_all_and_for_one(
    good: Credential, backup: Credential, policy: Write
) -> None:
    """Else the file's own date counts."""
    path = policy(PinSet(good.pin, backup.pin))
    common = ("plan", "-p", path, "--offline")
    spans = document(*common, status=1)["pins"]
    assert {span["published"] for span in spans} == {str(TODAY - 400 * DAY)}
    spans = document(
        *common, "--published", "2026-01-02", "--published", f"{backup.pin}=2026-03-04", status=1
    )["pins"]
    assert [span["published"] for span in spans] == ["2026-01-02", "2026-03-04"]
    assert spans[1]["reached"] == "2026-04-04"


def test_within_is_quiet_until_something_is_due(
    good: Credential,
    backup: Credential,
    policy: Write,
    given: Given,
) -> None:
    """For cron: status 0 and no findings, until the day comes near."""
    path = policy(PinSet(good.pin, backup.pin, expires=TODAY + 100 * DAY))
    common = ("plan", "-p", path, *given, "--within")
    assert document(*common, "69", status=0)["steps"] == steps(
        document(*common, "69", status=0), "renew-certificate"
    )
    (extend,) = steps(document(*common, "70", status=1), "extend-set")
    assert extend["date"] == str(TODAY + 70 * DAY)
    # Advice without a date is nothing that is due.
    path = policy(PinSet(good.pin, None))
    assert document(*common, "30", status=0)["findings"] == []


def test_a_renewal_is_nothing_to_do_for_who_has_the_pins(
    good: Credential,
    backup: Credential,
    policy: Write,
    given: Given,
) -> None:
    """It is shown, and cron is not woken for it."""
    path = policy(PinSet(good.pin, backup.pin))
    shown = document("plan", "-p", path, *given, "--within", "60")
    assert len(steps(shown, "renew-certificate")) == 1


def test_the_calendar_has_an_event_for_each_step_and_is_read_back(
    good: Credential,
    backup: Credential,
    tmp_path: Path,
    policy: Write,
    given: Given,
) -> None:
    """Whole days, the same identifiers the next time, and an alarm the day before."""
    path = policy(PinSet(good.pin, backup.pin))
    on = TODAY + 100 * DAY
    shown = document(
        "plan",
        "-p",
        path,
        *given,
        "--switch",
        f"{HOST}@{on}",
        "--ics",
        tmp_path / "plan.ics",
    )
    expected = [(step["date"], step["kind"]) for step in shown["steps"] if step["kind"] != "wait"]
    calendar = Calendar.from_ical((tmp_path / "plan.ics").read_bytes())
    events = calendar.walk("VEVENT")
    assert [str(event["dtstart"].dt) for event in events] == [day for day, _ in expected]
    assert len({event["uid"] for event in events}) == len(events) > 3
    assert all(type(event["dtstart"].dt) is datetime.date for event in events)
    assert all(len(event.walk("VALARM")) == 1 for event in events)
    switch = next(event for event in events if "switch" in event["summary"])
    assert (switch["dtstart"].dt, str(switch["summary"])) == (on, f"{HOST}: switch the key")
    assert str(backup.pin) in switch["description"]

    again = tmp_path / "again.ics"
    run(
        "plan",
        "-p",
        path,
        *given,
        "--switch",
        f"{HOST}@{on + DAY}",
        "--ics",
        again,
    )
    later = Calendar.from_ical(again.read_bytes()).walk("VEVENT")
    assert [event["uid"] for event in later] == [event["uid"] for event in events]


def test_on_a_terminal_there_is_a_timeline(
    good: Credential,
    backup: Credential,
    policy: Write,
    given: Given,
) -> None:
    """As wide as the terminal and no wider, in colours unless somebody does not want them."""
    path = policy(PinSet(good.pin, backup.pin, expires=TODAY + 100 * DAY))
    arguments = (
        "plan",
        "-p",
        path,
        *given,
        "--switch",
        f"{HOST}@{TODAY + 60 * DAY}",
    )
    with on_terminal(*arguments, columns=90) as terminal:
        terminal.finish()
    assert terminal.status == 0
    assert f"certificate of {HOST}" in terminal.text
    assert "━" in terminal.text
    assert "◆" in terminal.text
    assert max(map(len, terminal.text.splitlines())) <= 90
    assert b"\x1b[" in terminal.raw
    with on_terminal(*arguments, columns=90, NO_COLOR="1") as plain:
        plain.finish()
    assert b"\x1b[3" not in plain.raw
    with on_terminal(*arguments, columns=90, PYTHONIOENCODING="ascii") as ascii_only:
        ascii_only.finish()
    assert "| today   - on its way to the clients   * a step of the plan" in ascii_only.text
    assert "━" not in run(*arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-p", "gone.toml"), "gone.toml: No such file or directory"),
        (("other.example",), "the policy has no pins for this host"),
        (("--certificate", "www.example"), "give HOST=FILE"),
        (("--certificate", f"{HOST}=gone.pem"), "gone.pem: No such file or directory"),
        (("--certificate", f"{HOST}=pins.toml"), "no certificate in PEM or DER"),
        (("--switch", f"{HOST}@tomorrow"), "a date is expected"),
        (("--switch", f"{HOST}=pins.toml@2030-01-01"), "pins.toml: no certificate, key, CSR"),
        (("--offline", "--lost", "other.example"), "the policy has no pins for this host"),
        (("--published", "yesterday"), "a date is expected"),
        (("--published", "sha256/short=2026-01-01"), "sha256/short"),
        (("--backups", "0"), "0 is not in the range"),
        (("--today", "soon"), "soon"),
        (("https://www.example/",), "give the host alone"),
    ],
)
def test_what_is_not_understood_is_one_line_that_says_what(
    good: Credential, policy: Write, arguments: tuple[str, ...], words: str
) -> None:
    """With status 2, before anything else is done."""
    path = policy(PinSet(good.pin, None))
    done = run("plan", *arguments, cwd=path.parent)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_ctrl_c_ends_it_with_what_was_seen_so_far(
    good: Credential, backup: Credential, at: At, given: Given, tmp_path: Path
) -> None:
    """One host is known, another stalls: the plan is that of the first."""
    hello = threading.Event()

    def stall(sock: socket.socket, _: object) -> None:
        if sock.recv(1):
            hello.set()
        while sock.recv(4096):
            pass

    pins = PinSet(good.pin, backup.pin)
    policy = PinPolicy({HOST: pins, "other.example": pins})
    (tmp_path / "both.toml").write_text(policy.to_toml())
    with serving(stall) as peer:
        other = at(peer).replace(HOST, "other.example")
        with background("plan", other, "-p", tmp_path / "both.toml", *given) as process:
            assert hello.wait(WAIT)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert errors.startswith("interrupted: this is without")
    assert "Traceback" not in errors
    assert f"{HOST}: renew the certificate" in out
    assert "no-certificate" in out


def test_a_file_that_cannot_be_written_is_said(
    good: Credential, tmp_path: Path, policy: Write
) -> None:
    """The plan was printed; the page was not made."""
    path = policy(PinSet(good.pin, None))
    where = tmp_path / "no" / "such" / "folder.html"
    done = run("plan", "-p", path, "--offline", "--html", where)
    assert done.returncode == 3
    assert "folder.html: No such file or directory" in done.stderr
    full = run("plan", "-p", path, "--offline", "--html", "/dev/full")
    assert full.returncode == 3
    assert full.stderr.startswith("pinsock plan: /dev/full: No space left on device; make room")
    assert len(full.stderr.splitlines()) == 1


@pytest.mark.parametrize("options", [("pins", "html"), ("pins", "ics"), ("ics", "html")])
def test_the_policy_is_not_overwritten_by_its_plan(
    good: Credential, policy: Write, options: tuple[str, str]
) -> None:
    """A file that is read or written already is not written."""
    path = policy(PinSet(good.pin, None))
    before = path.read_text()
    same = path if options[0] == "pins" else path.with_name("out")
    arguments = {"pins": path} | dict.fromkeys(options, same)
    named = [part for option, file in arguments.items() for part in (f"--{option}", file)]
    done = run("plan", "--offline", *named)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"is given as --{options[0]} and as --{options[1]}; give another file" in done.stderr
    assert path.read_text() == before
    assert not path.with_name("out").exists()


def test_a_certificate_may_be_given_for_another_spelling_of_the_host(
    good: Credential, backup: Credential, policy: Write, given: Given
) -> None:
    """The host is not connected to, and its certificate is the one that was given."""
    path = policy(PinSet(good.pin, backup.pin))
    option, text, *keys = given
    spelt = str(text).replace(HOST, f"{HOST.upper()}.", 1)
    shown = document("plan", "-p", path, option, spelt, *keys, status=0)
    assert shown["hosts"] == [{"host": HOST, "certificates": 1, "problem": None}]
    done = run("plan", "-p", path, option, f"a b={path}")
    assert done.returncode == 2
    assert "'a b'" in done.stderr
