"""``pinsock check``: a fleet of hosts, each with its pins, and what is known of it when it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.contexts import server
from support.impostor import HOST, WAIT, sends, serving

from pinsock import PinPolicy, PinSet
from pinsock._throwaway import Authority

from .fleet import Fleet
from .tools import PINSOCK, background, environment, on_terminal, run, tiny_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinsock._throwaway import Credential

OTHER = "sha256/d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="


@pytest.fixture
def fleet(authority: Authority) -> Iterator[Fleet]:
    with Fleet(authority) as fleet:
        yield fleet


def check(*arguments: str | Path, status: int = 0, **settings: Any) -> tuple[list[Any], Any]:
    """The results and the summary of ``--json``."""
    done = run("check", *arguments, "--json", **settings)
    assert done.returncode == status, (done.stdout, done.stderr)
    *results, summary = map(json.loads, done.stdout.splitlines())
    return results, summary["summary"]


def policy(folder: Path, sets: dict[str, PinSet], **options: Any) -> Path:
    path = folder / "pins.toml"
    path.write_text(PinPolicy(sets, **options).to_toml())
    return path


# --- what it says ---------------------------------------------------------------------------------


def test_each_host_is_told_by_which_pin_it_passed(
    good: Credential, backup: Credential, ca: Path, tmp_path: Path
) -> None:
    """With its label, and how long the certificate has left; the servers hear no data."""
    pins = PinSet(good.pin, backup.pin, labels={good.pin: "2026 key"})
    path = policy(tmp_path, {HOST: pins})
    with serving(server(good)) as one, serving(server(backup)) as two:
        targets = [f"{HOST}:{peer.address[1]}@127.0.0.1" for peer in (one, two)]
        results, summary = check("-p", path, "--cafile", ca, *targets)
        for peer in (one, two):
            report = peer.report()
            assert report.shaken
            assert report.got_nothing()
            assert report.ended == "eof"
        text = run("check", "-p", path, "--cafile", ca, *targets).stdout
    first, second = sorted(results, key=lambda result: result["outcome"])
    assert first == {
        "host": HOST,
        "port": one.address[1],
        "address": "127.0.0.1",
        "status": "passed",
        "outcome": "matched",
        "pin": str(good.pin),
        "label": "2026 key",
        "chain_pins": [],
        "not_after": good.certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days": 29,
        "message": None,
        "seconds": first["seconds"],
    }
    assert (second["status"], second["outcome"]) == ("passed", "matched-backup")
    assert summary == {
        "hosts": 2,
        "done": 2,
        "passed": 2,
        "unreachable": 0,
        "unverified": 0,
        "refused": 0,
        "by_backup": 1,
        "seconds": summary["seconds"],
        "rate": summary["rate"],
        "interrupted": False,
    }
    assert f"  29 days left    {good.pin}  2026 key\n" in text
    assert f"  29 days left    {backup.pin}  (backup)\n" in text
    assert text.splitlines()[-1].endswith(": 2 passed (1 by a backup pin)")


def outcome_of(
    credential: Credential, pins: PinSet, ca: Path, folder: Path, status: int, **options: Any
) -> Any:
    """The one result of one host."""
    path = policy(folder, {HOST: pins}, **options)
    with serving(server(credential)) as peer:
        target = f"{HOST}:{peer.address[1]}@127.0.0.1"
        (result,), _ = check("-p", path, "--cafile", ca, target, status=status)
        assert peer.report().got_nothing()
    return result


def test_another_key_is_refused(
    good: Credential, bad: Credential, ca: Path, tmp_path: Path
) -> None:
    """Status 1; its pin is told, and when its certificate ends."""
    result = outcome_of(bad, PinSet(good.pin, None), ca, tmp_path, 1)
    assert (result["status"], result["outcome"], result["pin"]) == ("refused", "mismatch", None)
    assert result["chain_pins"] == [str(bad.pin)]
    assert result["message"] == f"its key is none of the pinned ones ({bad.pin})"
    assert result["days"] == 29


def test_a_mismatch_that_is_only_reported_is_a_finding_here(
    good: Credential, bad: Credential, ca: Path, tmp_path: Path
) -> None:
    """The program would go on; who asks for a check wants to know."""
    result = outcome_of(bad, PinSet(good.pin, None, report_only=True), ca, tmp_path, 1)
    assert result["status"] == "refused"
    assert result["message"].endswith(", but the policy lets it through")


def test_a_set_that_has_expired_is_a_finding(good: Credential, ca: Path, tmp_path: Path) -> None:
    """Whatever the server shows."""
    result = outcome_of(good, PinSet(good.pin, None, expires="2020-01-01"), ca, tmp_path, 1)
    assert (result["status"], result["outcome"]) == ("refused", "expired")
    assert result["message"].startswith("the set of pins has expired")


def test_a_certificate_that_is_not_verified_is_a_finding(
    good: Credential, ca: Path, tmp_path: Path
) -> None:
    """Pins add to normal verification and never replace it: the right key does not help."""
    result = outcome_of(
        Authority("somebody's own authority").issue(HOST, key=good.key),
        *(PinSet(good.pin, None), ca, tmp_path, 1),
    )
    assert (result["status"], result["outcome"]) == ("unverified", None)
    assert result["message"].endswith("; before any pin was looked at")


def test_a_host_that_is_not_listed_is_a_finding(good: Credential, ca: Path, tmp_path: Path) -> None:
    """Even if the policy lets such hosts through."""
    path = policy(tmp_path, {"other.example": PinSet(OTHER, None)}, unlisted="allow")
    with serving(server(good)) as peer:
        target = f"{HOST}:{peer.address[1]}@127.0.0.1"
        (result,), _ = check("-p", path, "--cafile", ca, target, status=1)
    assert (result["status"], result["outcome"]) == ("refused", "unlisted")
    assert result["message"] == (
        f"the policy has no pins for it ({good.pin}), but the policy lets it through"
    )


def test_what_is_not_reached_is_status_3(ca: Path, tmp_path: Path) -> None:
    """Unless something worse was found."""
    path = policy(tmp_path, {HOST: PinSet(OTHER, None)})
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        target = f"{HOST}:{closed.getsockname()[1]}@127.0.0.1"
        (result,), summary = check("-p", path, "--cafile", ca, target, status=3)
    assert (result["status"], result["outcome"], result["days"]) == ("unreachable", None, None)
    assert "connection refused" in result["message"]
    assert summary["unreachable"] == 1


def test_a_finding_is_worth_more_than_a_host_that_is_down(
    bad: Credential, ca: Path, tmp_path: Path
) -> None:
    """Status 1 of both."""
    path = policy(tmp_path, {HOST: PinSet(OTHER, None)})
    with serving(server(bad)) as peer, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = (closed.getsockname()[1], peer.address[1])
        targets = [f"{HOST}:{port}@127.0.0.1" for port in ports]
        check("-p", path, "--cafile", ca, *targets, status=1)


# --- whom it asks ---------------------------------------------------------------------------------


def test_without_hosts_those_of_the_policy_are_checked(tmp_path: Path) -> None:
    """Patterns are none; pins.toml in this folder is the policy."""
    sets = {"a.invalid": PinSet(OTHER, None), "*.b.invalid": PinSet(OTHER, None)}
    policy(tmp_path, sets)
    results, _ = check(cwd=tmp_path, status=3)
    assert [(result["host"], result["port"]) for result in results] == [("a.invalid", 443)]


def test_a_policy_of_patterns_alone_needs_hosts(tmp_path: Path) -> None:
    """A usage error."""
    path = policy(tmp_path, {"*.b.invalid": PinSet(OTHER, None)})
    done = run("check", "-p", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "The policy has patterns alone; say which hosts, or give --hosts." in done.stderr


def test_hosts_come_from_a_file_or_standard_input(fleet: Fleet, ca: Path, tmp_path: Path) -> None:
    """Comments and empty lines are left out; a name may stand there twice."""
    path, hosts = fleet.write(tmp_path, 2)
    text = f"# two\n\n{hosts.read_text()}  {fleet.target(1)}  # again\n"
    hosts.write_text(text)
    for source, stdin in ((hosts, ""), ("-", text)):
        results, _ = check("-p", path, "--cafile", ca, "--hosts", source, stdin=stdin)
        assert sorted(result["host"] for result in results) == [
            *("h0.fleet.example", "h1.fleet.example", "h1.fleet.example"),
        ]
    assert fleet.hosts == {"h0.fleet.example": 2, "h1.fleet.example": 4}
    assert fleet.application == b""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a.example\nhttps://b.example/\n", ", line 2: 'https://b.example/': give the host alone"),
        (b"a.example\n\n" + b"x" * 5000 + b"\n", ", line 3: 'xxx"),
        (b"a.example #" + b"x" * 988 + b"b.example\n", ", line 1: 'a.example #xxx"),
        (b"# nobody\n\n", ": no host in this file; write one a line"),
        (b"\xff\xfe", ": not a text in UTF-8; give a file of hosts"),
        (b"a.example:1:\x1b[31m", ", line 1: '"),
    ],
    ids=["url", "long", "long comment", "empty", "binary", "escape"],
)
def test_a_file_of_hosts_that_is_none(tmp_path: Path, content: bytes, why: str) -> None:
    """Its line is named, before anything is connected to."""
    path = policy(tmp_path, {"a.example": PinSet(OTHER, None)})
    hosts = tmp_path / "hosts"
    hosts.write_bytes(content)
    done = run("check", "-p", path, "--hosts", hosts)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"pinsock check: {hosts}{why}")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """Policy, hosts and authorities: status 2, and which."""
    path = policy(tmp_path, {"a.invalid": PinSet(OTHER, None)})
    for arguments in (
        ("-p", tmp_path / "none"),
        ("-p", path, "--hosts", tmp_path / "none"),
        ("-p", path, "--cafile", tmp_path / "none"),
    ):
        done = run("check", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"pinsock check: {tmp_path / 'none'}: No such file or directory; check its name\n"
        )


def test_a_policy_that_is_none(tmp_path: Path) -> None:
    """What is wrong with it, and where."""
    path = tmp_path / "pins.toml"
    path.write_text("hello")
    done = run("check", "-p", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"pinsock check: {path}: not TOML: ")


# --- how many, how fast, how long -----------------------------------------------------------------


def test_as_many_connections_as_jobs_stand_at_once(
    authority: Authority, ca: Path, tmp_path: Path
) -> None:
    """Nobody gets an answer before seven have asked, and there are never eight."""
    with Fleet(authority, hold=7) as fleet:
        path, hosts = fleet.write(tmp_path, 30)
        arguments = ("-p", path, "--cafile", ca, "--hosts", hosts, "--jobs", "7")
        results, _ = check(*arguments)
        assert {result["status"] for result in results} == {"passed"}
        assert fleet.most == 7


def test_a_host_that_stalls_holds_nobody_up_for_longer_than_the_timeout(
    fleet: Fleet, ca: Path, tmp_path: Path
) -> None:
    """Two jobs, one of which waits; the others are through meanwhile."""
    path, hosts = fleet.write(tmp_path, 20)
    with serving(sends()) as stalled:
        silent = f"h99.fleet.example:{stalled.address[1]}@127.0.0.1"
        hosts.write_text(f"{silent}\n{hosts.read_text()}")
        results, _ = check(
            *("-p", path, "--cafile", ca, "--hosts", hosts, "--jobs", "2", "--timeout", "4"),
            status=3,
        )
    assert [result["status"] for result in results] == ["passed"] * 20 + ["unreachable"]
    assert "no handshake within 4 s" in results[-1]["message"]


@pytest.mark.parametrize("option", ["--rate", "--timeout"])
@pytest.mark.parametrize("number", ["nan", "inf", "0", "-1"])
def test_what_is_no_number_above_nothing_is_refused_before_anything_is_begun(
    option: str, number: str, fleet: Fleet, ca: Path, tmp_path: Path
) -> None:
    """A rate of nan would be no rate at all."""
    path, hosts = fleet.write(tmp_path, 1)
    done = run("check", "-p", path, "--cafile", ca, "--hosts", hosts, option, number)
    assert done.returncode == 2
    assert number in done.stderr
    assert fleet.times == []


def test_no_more_are_begun_a_second_than_the_rate_says(
    fleet: Fleet, ca: Path, tmp_path: Path
) -> None:
    """Twenty a second, so thirty take one and a half; seen from the server."""
    path, hosts = fleet.write(tmp_path, 30)
    check("-p", path, "--cafile", ca, "--hosts", hosts, "--rate", "20")
    assert len(fleet.times) == 30
    assert fleet.times[-1] - fleet.times[0] >= 29 / 20 - 0.1
    # Not in bursts either.
    assert fleet.times[15] - fleet.times[0] >= 15 / 20 - 0.1


#: ru_maxrss would have what the process was forked from in it too.
_MEASURED = """
import sys
from pinsock.cli import main
status = main(sys.argv[1:])
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(status, peak.split()[1], file=sys.stderr)
"""


def peak_memory(*arguments: str | Path) -> int:
    """Kilobytes that one run of ``pinsock check`` had at most."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, "check", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        timeout=300,
        check=True,
    )
    status, peak = map(int, done.stderr.split())
    assert status == 0
    return peak


def memory_grows_by(fleet: Fleet, ca: Path, folder: Path, few: int, many: int) -> int:
    peaks = []
    for number in (few, many):
        path, hosts = fleet.write(folder, number)
        peaks.append(
            peak_memory(
                *("-p", path, "--cafile", ca, "--hosts", hosts, "--records", folder / "records"),
                *("--resume", folder / "notes", "--json"),
            )
        )
    return peaks[1] - peaks[0]


def test_memory_does_not_grow_with_the_number_of_hosts(
    fleet: Fleet, ca: Path, tmp_path: Path
) -> None:
    """Ten times as many, within 2 MB: a handshake of OpenSSL's that was kept would take 30 MB."""
    assert memory_grows_by(fleet, ca, tmp_path, 100, 1000) < 2000


@pytest.mark.soak
def test_memory_is_flat_for_ten_thousand_hosts(fleet: Fleet, ca: Path, tmp_path: Path) -> None:
    """With records and notes."""
    assert memory_grows_by(fleet, ca, tmp_path, 1000, 10_000) < 3000


# --- records, and going on where a run was cut ----------------------------------------------------


def test_records_are_appended(fleet: Fleet, ca: Path, tmp_path: Path) -> None:
    """A line for each verdict, in the library's form; those of yesterday stay."""
    path, hosts = fleet.write(tmp_path, 5)
    records = tmp_path / "records.jsonl"
    records.write_text("yesterday's\n")
    for run_number in (1, 2):
        check("-p", path, "--cafile", ca, "--hosts", hosts, "--records", records)
        first, *lines = records.read_text().splitlines()
        assert first == "yesterday's"
        found = [json.loads(line) for line in lines]
        assert sorted(record["host"] for record in found) == sorted(
            [f"h{n}.fleet.example" for n in range(5)] * run_number
        )
        assert {record["pin"] for record in found} == {str(fleet.credential.pin)}
        assert {record["label"] for record in found} == {"the fleet's key"}


def test_records_that_cannot_be_written_are_told(fleet: Fleet, ca: Path, tmp_path: Path) -> None:
    """The check goes on, and its status says that it was not all."""
    path, hosts = fleet.write(tmp_path, 3)
    arguments = ("check", "-p", path, "--cafile", ca, "--hosts", hosts)
    for records, why in (
        (Path("/dev/full"), "No space left on device"),
        (tmp_path / "none" / "records", "No such file or directory"),
    ):
        done = run(*arguments, "--records", records)
        assert done.returncode == 3
        assert done.stdout.splitlines()[-1].endswith(": 3 passed")
        assert done.stderr.startswith(f"pinsock check: {records}: a record could not be written: ")
        assert why in done.stderr


def start_slowly(fleet: Fleet, ca: Path, folder: Path, *arguments: str | Path) -> list[str | Path]:
    """A run over a hundred hosts that takes two seconds, so that it can be stopped within."""
    path, hosts = fleet.write(folder, 100)
    command = ["check", "-p", path, "--cafile", ca, "--hosts", hosts, "--rate", "50"]
    return [*command, *arguments]


def read_results(process: subprocess.Popen[str], number: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(number)]


def test_ctrl_c_ends_it_with_what_was_done_so_far(fleet: Fleet, ca: Path, tmp_path: Path) -> None:
    """Every line that was shown is whole, and the last one counts them."""
    command = start_slowly(fleet, ca, tmp_path, "--json")
    with background(*command) as process:
        shown = read_results(process, 10)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=WAIT)
    assert (process.returncode, errors) == (130, "")
    *results, last = map(json.loads, [*shown, *out.splitlines()])
    assert last["summary"]["interrupted"]
    assert last["summary"]["done"] == len(results) == last["summary"]["passed"]
    assert 10 <= len(results) < 100


def test_ctrl_c_on_a_terminal(fleet: Fleet, ca: Path, tmp_path: Path) -> None:
    """The key itself: progress is taken away, and the count stays."""
    command = start_slowly(fleet, ca, tmp_path, "--rate", "10")
    with on_terminal(*command, columns=160) as terminal:
        terminal.expect("hosts/s")
        terminal.expect("/100")
        terminal.type("\x03")
    assert terminal.status == 130
    last = terminal.text.rstrip("\n").splitlines()[-1]
    assert "interrupted: " in last
    assert "of 100 hosts in" in last
    assert "passed" in last


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_cut_goes_on_where_it_was(
    fleet: Fleet, ca: Path, tmp_path: Path, how: signal.Signals
) -> None:
    """No host is asked twice but those that were in flight; then the notes are gone."""
    notes = tmp_path / "notes"
    jobs = 4
    command = start_slowly(fleet, ca, tmp_path, "--resume", notes, "--json", "--jobs", str(jobs))
    with background(*command) as process:
        read_results(process, 20)
        process.send_signal(how)
        process.communicate(timeout=WAIT)
    if how is signal.SIGKILL:
        with notes.open("a") as file:
            file.write('["half a li')
    asked_before = fleet.hosts.total()
    results, summary = check(*command[1:-3], "--jobs", str(jobs))
    assert summary["done"] == summary["passed"] == summary["hosts"] == 100
    assert len(results) <= 81  # the last may have been shown and not yet noted
    assert not notes.exists()

    assert len(fleet.hosts) == 100
    assert fleet.hosts.total() - asked_before == len(results)
    assert fleet.hosts.total() <= 100 + jobs


def test_who_was_not_reached_is_asked_again(fleet: Fleet, ca: Path, tmp_path: Path) -> None:
    """Perhaps it was the network that ended the run; findings of before still count."""
    path, hosts = fleet.write(tmp_path, 3)
    notes = tmp_path / "notes"
    notes.write_text(
        '{"pinsock check": 1}\n'
        f'["{fleet.target(0)}", "refused"]\n'
        f'["{fleet.target(1)}", "passed"]\n'
    )
    arguments = ("-p", path, "--cafile", ca, "--hosts", hosts, "--resume", notes)
    results, summary = check(*arguments, status=1)
    assert [result["host"] for result in results] == ["h2.fleet.example"]
    assert (summary["done"], summary["passed"], summary["refused"]) == (3, 2, 1)


def test_what_was_done_is_counted_for_the_hosts_of_this_run(
    fleet: Fleet, ca: Path, tmp_path: Path
) -> None:
    """Not for others that the notes have, and for one that is listed twice, twice."""
    path, hosts = fleet.write(tmp_path, 2)
    hosts.write_text(f"{hosts.read_text()}{fleet.target(0)}\n")
    notes = tmp_path / "notes"
    notes.write_text(
        '{"pinsock check": 1}\n'
        f'["{fleet.target(0)}", "passed"]\n'
        '["elsewhere.example:443", "refused"]\n'
    )
    arguments = ("-p", path, "--cafile", ca, "--hosts", hosts, "--resume", notes)
    results, summary = check(*arguments)
    assert [result["host"] for result in results] == ["h1.fleet.example"]
    assert (summary["hosts"], summary["done"], summary["passed"]) == (3, 3, 3)


@pytest.mark.parametrize("options", [("pins", "records"), ("pins", "resume"), ("hosts", "records")])
def test_nothing_is_written_to_a_file_that_is_read(
    fleet: Fleet, ca: Path, tmp_path: Path, options: tuple[str, str]
) -> None:
    """However the file is spelt: it is as it was, and nobody was connected to."""
    path, hosts = fleet.write(tmp_path, 1)
    files = {"pins": path, "hosts": hosts}
    before = files[options[0]].read_text()
    files[options[1]] = tmp_path / "link"
    files[options[1]].symlink_to(files[options[0]])
    arguments = [part for option, file in files.items() for part in (f"--{option}", file)]
    done = run("check", "--cafile", ca, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"is given as --{options[0]} and as --{options[1]}; give another file" in done.stderr
    assert files[options[0]].read_text() == before
    assert fleet.hosts.total() == 0


@pytest.mark.parametrize("content", ["precious\n", '[[pin]]\nhost = "a"\n'])
def test_a_file_of_something_else_is_not_taken_for_notes(tmp_path: Path, content: str) -> None:
    """It is neither written to nor removed."""
    path = policy(tmp_path, {"a.invalid": PinSet(OTHER, None)})
    notes = tmp_path / "notes"
    notes.write_text(content)
    done = run("check", "-p", path, "--resume", notes)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a file that --resume has made; give another name" in done.stderr
    assert notes.read_text() == content


def test_notes_that_cannot_be_written_end_the_run(fleet: Fleet, ca: Path, tmp_path: Path) -> None:
    """It could not be gone on with, and that is what was asked for."""
    path, hosts = fleet.write(tmp_path, 3)
    with tiny_disk(tmp_path / "disk", 8192) as folder:
        notes = folder / "notes"
        notes.write_text('{"pinsock check": 1}\n')
        (folder / "full").write_bytes(bytes(4096))
        notes.write_text('{"pinsock check": 1}\n' + "\n" * (4096 - 21))
        done = run("check", "-p", path, "--cafile", ca, "--hosts", hosts, "--resume", notes)
    assert done.returncode == 3
    assert done.stderr == (
        f"pinsock check: {notes}: No space left on device; make room, or write to another disk\n"
    )


def test_a_full_disk_under_the_output_ends_it(fleet: Fleet, ca: Path, tmp_path: Path) -> None:
    """One line, status 3, and no traceback of any of the jobs."""
    path, hosts = fleet.write(tmp_path, 50)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PINSOCK, "check", "-p", path, "--cafile", ca, "--hosts", hosts],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == (
        "pinsock check: standard output: No space left on device; make room, or write to another "
        "disk\n"
    )


def test_a_reader_that_stops_reading_ends_it(fleet: Fleet, ca: Path, tmp_path: Path) -> None:
    """``pinsock check | head -1``: nothing on standard error, and no more hosts are asked."""
    with background(*start_slowly(fleet, ca, tmp_path, "--json")) as process:
        read_results(process, 1)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(WAIT) == 1
    assert fleet.hosts.total() < 100
