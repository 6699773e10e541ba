"""``pinsock lint``: what can be said of a policy without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pinsock import PinPolicy, PinSet

from .tools import document, run

if TYPE_CHECKING:
    from pathlib import Path

    from pinsock._throwaway import Credential


def test_a_policy_in_order_is_status_0(
    good: Credential, backup: Credential, tmp_path: Path
) -> None:
    """And it is said that nothing was compared with certificates."""
    path = tmp_path / "pins.toml"
    path.write_text(PinPolicy({"www.example": PinSet(good.pin, backup.pin)}).to_toml())
    done = run("lint", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{path}: no findings for 1 host; not compared with certificates\n"


def test_findings_are_listed_and_are_status_1(
    good: Credential, backup: Credential, tmp_path: Path
) -> None:
    """Lock-outs first; as JSON with keys that stay."""
    path = tmp_path / "pins.toml"
    policy = PinPolicy(
        {
            "one.example": PinSet(good.pin, _warn=False),
            "**.co.uk": PinSet(good.pin, backup.pin),
            "old.example": PinSet(good.pin, backup.pin, expires="2026-01-01"),
        }
    )
    path.write_text(policy.to_toml())
    shown = document("lint", path, status=1)
    assert list(shown) == ["policy", "now", "thresholds", "findings"]
    assert [(row["host"], row["code"]) for row in shown["findings"]] == [
        ("old.example", "expired"),
        ("one.example", "no-backup"),
        ("**.co.uk", "public-suffix"),
    ]
    done = run("lint", path)
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "severity",
        "lock-out",
        "lock-out",
        "advice",
        f"{path}:",
    ]


def test_backup_keys_are_looked_for_where_they_are_said_to_be(
    good: Credential, backup: Credential, tmp_path: Path
) -> None:
    """That takes no network either."""
    path = tmp_path / "pins.toml"
    path.write_text(PinPolicy({"www.example": PinSet(good.pin, backup.pin)}).to_toml())
    (tmp_path / "kept").mkdir()
    shown = document("lint", path, "--backup-keys", tmp_path / "kept", status=1)
    assert [row["code"] for row in shown["findings"]] == ["backup-not-kept"]
    (tmp_path / "kept" / "backup.pem").write_bytes(backup.key_pem)
    assert document("lint", path, "--backup-keys", tmp_path / "kept")["findings"] == []


def test_it_reads_pins_toml_here_if_no_file_is_named(
    good: Credential, backup: Credential, tmp_path: Path
) -> None:
    """As the other commands do."""
    policy = PinPolicy({"www.example": PinSet(good.pin, backup.pin)})
    (tmp_path / "pins.toml").write_text(policy.to_toml())
    assert run("lint", cwd=tmp_path).returncode == 0


def test_thresholds_are_options(good: Credential, backup: Credential, tmp_path: Path) -> None:
    """A set that ends on a day that is far enough for some clients and too near for others."""
    path = tmp_path / "pins.toml"
    pins = PinSet(good.pin, backup.pin, expires="2030-06-30")
    path.write_text(PinPolicy({"www.example": pins}).to_toml())
    common = ("lint", path, "--today", "2030-03-01")
    assert document(*common)["findings"] == []
    shown = document(*common, "--client-update-days", "120", status=1)
    assert [row["code"] for row in shown["findings"]] == ["expires-before-certificate"]
    assert shown["thresholds"]["client_update_days"] == 120


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("[[pin]]\nhost = 3\n", "faults in the policy"),
        ("not toml", "not TOML"),
    ],
)
def test_a_file_that_is_no_policy_is_status_2(tmp_path: Path, text: str, words: str) -> None:
    """With what is wrong in it, and where."""
    path = tmp_path / "pins.toml"
    path.write_text(text)
    done = run("lint", path)
    assert done.returncode == 2
    assert words in done.stderr
    assert str(path) in done.stderr


def test_a_folder_is_no_policy(tmp_path: Path) -> None:
    """In one line, with what to do."""
    done = run("lint", tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith("Is a directory; give a file\n")
    assert len(done.stderr.splitlines()) == 1
