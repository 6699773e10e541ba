"""The page of ``pinsock plan --html``, by itself and in a browser."""

from __future__ import annotations

import datetime
import os
import re
import shutil
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from icalendar import Calendar
from rotation.situations import NOW, situations
from support.impostor import HOST

from pinsock import PinPolicy, PinSet
from pinsock.cli._html import to_html
from pinsock.cli._ics import to_ics
from pinsock.cli._timeline import Timeline, draw
from pinsock.rotation import review

from .tools import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pinsock._throwaway import Credential

TODAY = datetime.datetime.now(datetime.UTC).date()


@pytest.fixture
def page(good: Credential, backup: Credential, bad: Credential, tmp_path: Path) -> Path:
    """A page with a finding of each severity, a change of keys, and a label that attacks it."""
    policy = PinPolicy(
        {
            HOST: PinSet(
                good.pin,
                backup.pin,
                labels={good.pin: '<script>alert(1)</script><img src="https://x.example/">'},
                expires=TODAY + datetime.timedelta(days=60),
            ),
            "**.co.uk": PinSet(bad.pin, None),
        }
    )
    (tmp_path / "pins.toml").write_text(policy.to_toml())
    (tmp_path / "www.pem").write_bytes(good.chain_pem)
    (tmp_path / "next.pem").write_bytes(bad.chain_pem)
    done = run(
        "plan",
        "--certificate",
        f"{HOST}=www.pem",
        "--switch",
        f"{HOST}=next.pem@{TODAY}",
        "--html",
        "plan.html",
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    return tmp_path / "plan.html"


class Reader(HTMLParser):
    """Notes every element, and whether each that was opened was closed."""

    EMPTY = frozenset({"meta", "rect", "line", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_runs_nothing(page: Path) -> None:
    """No script, no address, nothing to load; what came from the policy is text."""
    text = page.read_text("utf-8")
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert {tag for tag, _ in reader.elements}.isdisjoint(
        {"script", "img", "link", "iframe", "object", "image", "use", "a", "base", "form"}
    )
    names = {name for _, attributes in reader.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert names.isdisjoint({"src", "href", "xlink:href", "srcset", "action"})
    assert not re.search(r"url\(|@import|@font-face", text)
    assert "&lt;script&gt;alert(1)" in text
    assert "default-src 'none'" in text


def test_the_page_has_the_findings_the_steps_and_the_drawing(page: Path) -> None:
    """The same that the command prints."""
    text = page.read_text("utf-8")
    for code in ("changes-too-soon", "public-suffix", "no-certificate", "switch-key"):
        assert code in text
    assert text.count("<svg height=") == 2
    assert text.count("<rect") >= 5


@settings(max_examples=100, deadline=None)
@given(situations())
def test_every_report_can_be_drawn(situation: tuple[PinPolicy, dict[str, Any]]) -> None:
    """As a page, as a calendar, and on terminals narrow and wide, with and without Unicode."""
    policy, known = situation
    report = review(policy, NOW, **known)
    reader = Reader()
    reader.feed(to_html(report))
    assert reader.open == []
    places = [attributes.get("x") for tag, attributes in reader.elements if tag == "rect"]
    assert all(0 <= float(str(place).rstrip("%")) <= 100 for place in places)
    events = Calendar.from_ical(to_ics(report)).walk("VEVENT")
    assert len(events) == sum(step.kind != "wait" for step in report.steps)
    for width in (40, 80, 200):
        for encoding in ("utf-8", "ascii"):
            *lines, _legend = draw(Timeline.of(report), width, encoding)
            assert all(len(line.plain) <= width for line in lines)
            "".join(line.plain for line in lines).encode(encoding)


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a display."""
    chromium = shutil.which("chromium")
    if not os.environ.get("CI"):
        pytest.importorskip("playwright")
        if chromium is None:
            pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    assert chromium is not None, "apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox"],  # CI is root, and the page is ours
        )
        yield started
        started.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_readable_in_both_schemes_on_a_telephone_and_on_a_desk(
    page: Path, browser: Any, scheme: str, width: int
) -> None:
    """No error, no request but the page itself, nothing wider than the screen, texts large enough
    and with contrast enough."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    view = context.new_page()
    requests: list[str] = []
    errors: list[str] = []
    view.on("request", lambda request: requests.append(request.url))
    view.on("console", lambda message: errors.append(message.text))
    view.on("pageerror", lambda error: errors.append(str(error)))
    view.goto(page.as_uri())
    assert requests == [page.as_uri()]
    assert errors == []
    assert view.evaluate("document.documentElement.scrollWidth") == width

    grounds = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert grounds == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
    texts = view.evaluate(LOOK_AT_TEXTS)
    assert len(texts) > 30
    for text in texts:
        assert text["size"] >= 12, text
        assert text["left"] >= 0, text
        assert text["right"] <= width, text
        assert contrast(text["colour"], text["ground"]) >= 4.5, text
    assert view.evaluate("document.querySelectorAll('rect').length") >= 5
    for box in view.evaluate(
        "[...document.querySelectorAll('rect')].map(r => r.getBoundingClientRect().toJSON())"
    ):
        assert box["width"] >= 0
        assert box["left"] >= 0
        assert box["right"] <= width
        assert box["height"] == 10
    shots = os.environ.get("PINSOCK_SCREENSHOTS")
    if shots:
        view.screenshot(path=os.path.join(shots, f"plan-{scheme}-{width}.png"), full_page=True)
    context.close()


#: Of every element with text of its own: where it is, and in which colours.
LOOK_AT_TEXTS = """() => {
  const found = [];
  for (const e of document.body.querySelectorAll('*')) {
    const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join('');
    if (!text) continue;
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    let ground = e;
    while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)')
      ground = ground.parentElement;
    found.push({text, size: parseFloat(style.fontSize), left: box.left, right: box.right,
      colour: e.tagName === 'text' ? style.fill : style.color,
      ground: getComputedStyle(ground).backgroundColor});
  }
  return found;
}"""


def contrast(one: str, other: str) -> float:
    """As WCAG 2.2 reckons it, of two colours in CSS."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """Relative, from ``rgb(r, g, b)``."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
