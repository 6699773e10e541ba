"""The report as one page: no script, nothing that is loaded from elsewhere, light and dark.

The drawing has widths in per cent and heights in pixels, so that its texts stay as large on a
telephone as they are on a desk.
"""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Final

from pinsock._text import safe_text
from pinsock.cli._timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinsock.cli._timeline import Bar
    from pinsock.rotation import Finding, Report, Step

__all__ = ["to_html"]

#: Contrast of text on its ground is 4.5 to 1 or better in both schemes.
_STYLE: Final = """
:root { color-scheme: light dark; --ground: #ffffff; --card: #f4f5f7; --text: #1b1f24;
  --dim: #57606a; --line: #d0d7de; --lock-out: #b3261e; --advice: #8a5300; --unchecked: #57606a;
  --certificate: #5b7fb8; --in-use: #2e8b57; --backup: #128a9c; --next: #9b4dca; --new: #9b4dca;
  --unknown: #c0392b; --listed: #2e8b57; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --card: #1f242b; --text: #e6e9ed;
  --dim: #a3acb6; --line: #3b434d; --lock-out: #ff8a80; --advice: #ffc266; --unchecked: #a3acb6;
  --certificate: #7aa2e3; --in-use: #5fcf92; --backup: #4dd0e1; --next: #ce93f0; --new: #ce93f0;
  --unknown: #ff7b6b; --listed: #5fcf92; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--ground);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; overflow-wrap: anywhere; }
p { margin: .25rem 0; } ol, ul { list-style: none; margin: 0; padding: 0; }
li { background: var(--card); border-left: .25rem solid var(--line); border-radius: .25rem;
  margin: .5rem 0; padding: .5rem .75rem; overflow-wrap: anywhere; }
li.lock-out { border-color: var(--lock-out); } li.advice { border-color: var(--advice); }
.tag { font-weight: 600; } .lock-out .tag { color: var(--lock-out); }
.advice .tag { color: var(--advice); } .unchecked .tag, .dim { color: var(--dim); }
code { font: .8125rem/1.4 ui-monospace, monospace; } time { font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; } svg svg { display: inline; }
svg text { fill: var(--text); font: 13px system-ui, sans-serif; paint-order: stroke;
  stroke: var(--ground); stroke-width: 3px; }
svg .axis { fill: var(--dim); font-size: 12px; } svg line { stroke: var(--line); }
svg .today { stroke: var(--text); stroke-dasharray: 3 3; } svg .step { fill: var(--text); }
svg .coming { opacity: .4; }
"""
_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>pinsock plan</title>
<style>"""


def to_html(report: Report) -> str:
    """The page."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    yield f"{_HEAD}{_STYLE}</style>\n</head>\n<body>"
    yield "<h1>Pins: what to do by when</h1>"
    yield f'<p class="dim">As of {report.now:%Y-%m-%d %H:%M} UTC. {_count(report)}</p>'
    if report.findings:
        yield "<h2>Findings</h2>\n<ul>"
        yield from map(_finding, report.findings)
        yield "</ul>"
    timeline = Timeline.of(report)
    yield "<h2>Timeline</h2>"
    for pattern, bars in groupby(timeline.bars, key=lambda bar: bar.pattern):
        yield f"<h3>{_text(pattern)}</h3>"
        yield from _drawing(timeline, list(bars))
    yield (
        '<p class="dim">Dashed: today. Pale: on its way to the clients. Diamonds: steps of the '
        "plan.</p>"
    )
    yield "<h2>Plan</h2>\n<ol>"
    yield from map(_step, report.steps)
    if not report.steps:
        yield "<li>Nothing to do.</li>"
    yield "</ol>\n</body>\n</html>"


def _text(text: str) -> str:
    return escape(safe_text(text))


def _count(report: Report) -> str:
    found, locks = len(report.findings), len(report.lock_outs)
    return (
        f"{found} finding{'s' * (found != 1)}, {locks} of {'them' if found != 1 else 'it'} "
        f"foretelling a lock-out."
        if found
        else "No findings."
    )


def _finding(finding: Finding) -> str:
    by = f" by <time>{finding.by}</time>" if finding.by else ""
    pin = f"<p><code>{finding.pin}</code></p>" if finding.pin else ""
    return (
        f'<li class="{finding.severity}"><p><span class="tag">{finding.severity}</span>{by} '
        f'&middot; {_text(finding.host)} &middot; <span class="dim">{finding.code}</span></p>'
        f"<p>{_long(finding.message)}.</p><p>Do: {_long(finding.action)}.</p>{pin}</li>"
    )


def _long(text: str) -> str:
    # Ours, but for names in it, which are safe already where they come from outside.
    return escape(text)


def _step(step: Step) -> str:
    until = f" to <time>{step.until}</time>" if step.until else ""
    pin = f"<p><code>{step.pin}</code></p>" if step.pin else ""
    return (
        f'<li><p><time class="tag">{step.date}</time>{until} &middot; {_text(step.host)} &middot; '
        f'<span class="dim">{step.kind}</span></p><p>{_long(step.action)}</p>{pin}</li>'
    )


# --- the drawing ----------------------------------------------------------------------------------

_ROW, _AXIS = 40, 20  # pixels
_LABEL = 38  # characters: what a telephone has room for


def _drawing(timeline: Timeline, bars: list[Bar]) -> Iterator[str]:
    height = _AXIS + _ROW * len(bars)
    words = "; ".join(f"{bar.label} from {bar.start} to {bar.end}" for bar in bars)
    yield f'<svg height="{height}" role="img" aria-label="{escape(words)}">'
    for day in timeline.ticks(4):
        place = _per_cent(timeline.place(day))
        yield f'<line x1="{place}" x2="{place}" y1="{_AXIS}" y2="{height}"/>'
        if timeline.place(day) < 0.85:
            yield f'<text class="axis" x="{place}" y="13" dx="2">{day:%Y-%m}</text>'
    today = _per_cent(timeline.place(timeline.today))
    yield f'<line class="today" x1="{today}" x2="{today}" y1="{_AXIS}" y2="{height}"/>'
    for number, bar in enumerate(bars):
        yield from _bar(timeline, bar, _AXIS + number * _ROW)
    yield "</svg>"


def _bar(timeline: Timeline, bar: Bar, top: int) -> Iterator[str]:
    start, end = timeline.place(bar.start), timeline.place(bar.end)
    reached = start if bar.reached is None else min(timeline.place(bar.reached), end)
    colour = f"var(--{bar.kind.replace(' ', '-')})"
    label = bar.label if len(bar.label) <= _LABEL else f"{bar.label[: _LABEL - 3]}..."
    yield f'<text x="0" y="{top + 15}">{escape(label)}</text>'
    for left, right, coming in ((start, reached, ' class="coming"'), (reached, end, "")):
        if right > left:
            yield (
                f'<rect{coming} x="{_per_cent(left)}" width="{_per_cent(right - left)}" '
                f'y="{top + 21}" height="10" rx="2" style="fill: {colour}"/>'
            )
    for day in bar.steps:
        # A percentage is no part of a path, so the diamond is placed by an svg of its own.
        yield (
            f'<svg x="{_per_cent(timeline.place(day))}" y="{top + 20}" width="1" height="12" '
            f'overflow="visible"><path class="step" d="M0 0L6 6L0 12L-6 6Z"/></svg>'
        )


def _per_cent(part: float) -> str:
    return f"{100 * part:.2f}%"
