"""What every page must be: valid, without inline script, usable by keyboard and screen reader."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

_VOID = {"meta", "link", "input", "br"}

_KNOWN = _VOID | {
    "script",
    *("html", "head", "title", "body", "header", "nav", "main", "footer", "div", "p", "h1", "h2"),
    *("a", "form", "button", "label", "textarea", "details", "summary", "strong", "span", "code"),
    *("ul", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "pre"),
    *("h3", "time", "caption", "svg", "desc", "g", "rect", "path", "text"),
}

_IN = {"li": {"ul"}, "tr": {"thead", "tbody"}, "td": {"tr"}, "th": {"tr"}, "dt": {"dl"}}
"""Elements, and what may contain them."""

_NOT_IN_P = {"div", "ul", "table", "form", "h1", "h2", "p", "pre", "dl", "details"}


_APART = {"span", "th", "td", "li", "p", "dt", "dd"}
"""Elements that are shown apart from what is before them."""


class _Page(HTMLParser):
    """Reads a page strictly: what a browser would mend is a mistake."""

    def __init__(self) -> None:
        super().__init__()
        self.mistakes: list[str] = []
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.mistakes.append(f"<{tag}> repeats an attribute")
        if tag not in _KNOWN:
            self.mistakes.append(f"<{tag}> is not known")
        if tag in _IN and self.open[-1] not in _IN[tag]:
            self.mistakes.append(f"<{tag}> in <{self.open[-1]}>")
        if "p" in self.open and tag in _NOT_IN_P:
            self.mistakes.append(f"<{tag}> in <p>")
        if tag in _APART:
            self.text.append(" ")
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def text_of(html: str) -> str:
    """Return the words of a page, one space between them."""
    page = _Page()
    page.feed(html)
    return " ".join("".join(page.text).split())


def mistakes_of(html: str) -> list[str]:
    """Return what is wrong with a page."""
    page = _Page()
    page.feed(html)
    page.close()
    return [*page.mistakes, *(f"<{tag}> stays open" for tag in page.open), *_mistakes(page)]


def _mistakes(page: _Page) -> Iterator[str]:
    ids = [one["id"] for _, one in page.elements if "id" in one]
    labelled = {one.get("for") for tag, one in page.elements if tag == "label"}
    headings = [tag for tag, _ in page.elements if tag in {"h1", "h2"}]
    if len(set(ids)) < len(ids):
        yield "an id is there twice"
    if headings[:1] != ["h1"] or headings.count("h1") != 1:
        yield f"headings {headings}"
    links = [one.get("href") for tag, one in page.elements if tag == "a"]
    if links[:1] != ["#content"]:
        yield "the first link does not skip to the content"
    for tag, one in page.elements:
        is_control = tag in {"input", "textarea"} and one.get("type") != "hidden"
        if is_control and one.get("id") not in labelled:
            yield f"{one.get('name')} has no label"
        if tag == "script" and "src" not in one:
            yield "a script in the page"
        if tag == "th" and "scope" not in one:
            yield "a <th> without scope"
        if any(name.startswith("on") or name == "style" for name in one):
            yield f"<{tag}> has script or style: {one}"
        for address in (one.get("href"), one.get("src"), one.get("action")):
            if address is not None and not address.startswith(("/", "#")):
                yield f"{address} is not of this factory"
