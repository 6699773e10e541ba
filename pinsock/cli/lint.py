"""``pinsock lint``: the findings that need no network."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from pinsock._text import safe_text
from pinsock.cli._frame import FINDING, GOOD, json_option
from pinsock.cli._rotation import (
    kept_keys,
    published,
    read_policy,
    rotation_options,
    show_findings,
    today_option,
)
from pinsock.rotation import review

if TYPE_CHECKING:
    import datetime

    from pinsock.cli._frame import Output
    from pinsock.rotation import Thresholds

__all__ = ["command"]


@click.command(
    help="What is wrong with a policy, as far as that can be seen without a network. Its pins are "
    "not compared with certificates: `pinsock plan` does that."
)
@click.argument("path", type=click.Path(), default="pins.toml", metavar="[FILE]")
@rotation_options
@today_option
@json_option
def command(
    *,
    path: str,
    key_paths: tuple[str, ...],
    published_texts: tuple[str, ...],
    thresholds: Thresholds,
    now: datetime.datetime,
    out: Output,
) -> int:
    policy = read_policy(path)
    report = review(
        policy,
        now,
        keys=kept_keys(key_paths, out),
        published=published(published_texts, policy, path),
        thresholds=thresholds,
    )
    if out.as_json:
        document = report.as_json()
        out.json(
            {
                "policy": path,
                "now": document["now"],
                "thresholds": dataclasses.asdict(thresholds),
                "findings": document["findings"],
            }
        )
    else:
        show_findings(report.findings, out)
        number = len(report.findings)
        out.line(
            f"{safe_text(path)}: {number or 'no'} finding{'s' * (number != 1)} for "
            f"{len(policy)} host{'s' * (len(policy) != 1)}; not compared with certificates"
        )
    return FINDING if report.findings else GOOD
