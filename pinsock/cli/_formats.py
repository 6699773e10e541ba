"""Pins as other programs take them, ready to paste."""

from __future__ import annotations

import binascii
import plistlib
import warnings
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.sax.saxutils import escape

from pinsock._pins import PinSet
from pinsock._policy import PinPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock._pins import Pin

__all__ = ["FORMATS", "Pinned", "write"]


class Pinned(NamedTuple):
    """What is to be written down."""

    host: str
    """Canonical: of letters, digits, dots, - and _, or an IP address."""
    port: int
    pin: Pin
    backup: tuple[Pin, ...]
    depth: int
    """Where in the chain the pin is from; 0: the server's own certificate."""

    @property
    def pins(self) -> tuple[Pin, ...]:
        return (self.pin, *self.backup)

    @property
    def host_is_address(self) -> bool:
        return ":" in self.host or self.host.rpartition(".")[2].isdigit()


def _sha256(pinned: Pinned) -> str:
    return "".join(f"{pin}\n" for pin in pinned.pins)


def _curl(pinned: Pinned) -> str:
    return ";".join(pin.to_text("curl") for pin in pinned.pins) + "\n"


def _okhttp(pinned: Pinned) -> str:
    lines = [f'    .add("{pinned.host}", "{pinned.pin}")']
    lines += [f'    .add("{pinned.host}", "{pin}") // backup' for pin in pinned.backup]
    if not pinned.backup:
        lines.append(f'    // .add("{pinned.host}", "sha256/...") // of a backup key')
    return "\n".join(
        ["val certificatePinner = CertificatePinner.Builder()", *lines, "    .build()", ""]
    )


def _base64(pin: Pin) -> str:
    return binascii.b2a_base64(pin.digest, newline=False).decode("ascii")


def _android(pinned: Pinned) -> str:
    pins = [f'            <pin digest="SHA-256">{_base64(pin)}</pin>' for pin in pinned.pins]
    if not pinned.backup:
        pins.append("            <!-- and the pin of a backup key -->")
    return "\n".join(
        [
            '<?xml version="1.0" encoding="utf-8"?>',
            "<network-security-config>",
            "    <domain-config>",
            f'        <domain includeSubdomains="false">{escape(pinned.host)}</domain>',
            "        <pin-set>",
            *pins,
            "        </pin-set>",
            "    </domain-config>",
            "</network-security-config>",
            "",
        ]
    )


def _trustkit(pinned: Pinned) -> str:
    domain = {
        "TSKEnforcePinning": True,
        "TSKIncludeSubdomains": False,
        "TSKPublicKeyHashes": [_base64(pin) for pin in pinned.pins],
    }
    configuration = {"TSKPinnedDomains": {pinned.host: domain}, "TSKSwizzleNetworkDelegates": False}
    return plistlib.dumps({"TSKConfiguration": configuration}).decode("utf-8")


def _tlsa(pinned: Pinned) -> str:
    owner = f"_{pinned.port}._tcp.{pinned.host}."
    return "".join(f"{owner} IN TLSA {pin.to_text('tlsa')}\n" for pin in pinned.pins)


def _toml(pinned: Pinned) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without a backup; the text says it
        pins = PinSet(pinned.pin, pinned.backup, scope="chain" if pinned.depth else "leaf")
    text = PinPolicy({pinned.host: pins}).to_toml()
    if pinned.backup:
        return text
    return text.replace(
        "\npins = ", '\n# backup = ["sha256/..."]  (of a key that is kept aside)\npins = ', 1
    )


_WRITERS: Final[dict[str, Callable[[Pinned], str]]] = {
    "sha256": _sha256,
    "curl": _curl,
    "okhttp": _okhttp,
    "android": _android,
    "trustkit": _trustkit,
    "tlsa": _tlsa,
    "toml": _toml,
}
FORMATS: Final = tuple(_WRITERS)
#: Those that take the server's own key alone.
_OF_THE_LEAF: Final = ("curl", "tlsa")
#: Those that know host names alone.
_OF_NAMES: Final = ("android", "trustkit", "tlsa")


def write(form: str, pinned: Pinned) -> str | None:
    """The text, or ``None`` where this form cannot say it."""
    if form in _OF_THE_LEAF and pinned.depth:
        return None
    if form in _OF_NAMES and pinned.host_is_address:
        return None
    return _WRITERS[form](pinned)
