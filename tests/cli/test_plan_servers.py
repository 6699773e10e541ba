"""``pinsock plan`` against servers from Debian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.daemons import nginx, postfix
from support.impostor import HOST

from pinsock import PinPolicy, PinSet

from .tools import document

if TYPE_CHECKING:
    from pathlib import Path

    from pinsock._throwaway import Credential

pytestmark = pytest.mark.servers


def test_a_web_server_and_a_mail_server_are_compared_with_their_pins(
    good: Credential, backup: Credential, ca: Path, tmp_path: Path
) -> None:
    """nginx, and postfix behind STARTTLS; then the same with a key that is not pinned."""
    policy = tmp_path / "pins.toml"
    (tmp_path / "kept.pem").write_bytes(backup.key_pem)
    common = ("-p", policy, "--cafile", ca, "--backup-keys", tmp_path / "kept.pem")
    policy.write_text(PinPolicy({HOST: PinSet(good.pin, backup.pin)}).to_toml())
    with nginx(good) as web:
        target = f"{HOST}:{web.ports['https']}@127.0.0.1"
        shown = document("plan", target, *common, status=0)
        assert shown["hosts"] == [{"host": HOST, "certificates": 2, "problem": None}]
    with postfix(good) as mail:
        target = f"{HOST}:{mail.ports['smtp']}@127.0.0.1"
        shown = document("plan", target, "--starttls", "smtp", *common, status=0)
        assert [pin["role"] for pin in shown["pins"]] == ["in use", "backup"]
        policy.write_text(PinPolicy({HOST: PinSet(backup.pin, None)}).to_toml())
        shown = document("plan", target, "--starttls", "smtp", *common, status=1)
        assert "not-pinned" in [finding["code"] for finding in shown["findings"]]
