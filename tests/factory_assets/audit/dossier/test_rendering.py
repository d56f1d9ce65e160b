"""Documents of hostile texts: whatever a name or value is, it is shown, and does nothing."""

import sys
import unicodedata
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import html5lib
import pypdf
import pytest
from markdown_it import MarkdownIt

from factory_assets.audit.dossier import pdf
from factory_assets.audit.dossier.html import render_html
from factory_assets.audit.dossier.markdown import escape_markdown, render_markdown
from factory_assets.audit.dossier.pdf import AttachedFile, render_pdf
from factory_assets.audit.dossier.printing import (
    LONGEST,
    ParagraphKind,
    PrintedDocument,
    PrintedNote,
    PrintedParagraph,
    PrintedSection,
    PrintedTable,
    print_lines,
    print_text,
    print_value,
)
from factory_resources.errors import SettingError
from factory_resources.home.home import Home
from tests.hostile import ARABIC, HOSTILE, IMPORT, LONG, READ, REVERSED, SCRIPT

_KINDS: tuple[ParagraphKind, ...] = ("text", "notice", "signed", "gap", "stale")


def _document(texts: tuple[str, ...]) -> PrintedDocument:
    shown = tuple(map(print_text, texts))
    table = PrintedTable(shown[0], ("name", *shown), (("row", *shown),), (), ((1,),))
    paragraphs = (
        PrintedParagraph(text, _KINDS[place % len(_KINDS)], (1,))
        for place, text in enumerate(shown)
    )
    below = PrintedSection("below", shown[-1], ())
    section = PrintedSection("section", shown[0], (*paragraphs, table), (below,))
    notes = (PrintedNote(1, shown[0]),)
    return PrintedDocument(shown[0], "2026-11-27T12:00:00+00:00", (section,), notes)


ALL = _document(HOSTILE)


def _pdf_text(content: bytes) -> str:
    reader = pypdf.PdfReader(BytesIO(content))
    return "".join("".join(page.extract_text() for page in reader.pages).split())


def test_a_printed_text_is_one_line_without_control_characters() -> None:
    for text in HOSTILE:
        shown = print_text(text)
        assert shown.isprintable()
        assert len(shown) <= LONGEST + 30
    assert print_text(REVERSED) == r"abc\u202edef\u2066\u200b"
    assert print_text(ARABIC) == ARABIC
    assert print_text(LONG).endswith("x… (10,000 characters)")
    assert print_text("\x00\x1b[31m\r\n\t") == r"\x00\x1b[31m"


def test_a_printed_value_has_six_digits() -> None:
    values = (None, True, False, 12_345_678, 0.123456789, 1e-9, "a\nb")
    shown = ("none", "yes", "no", "12345678", "0.123457", "1e-09", "a b")
    assert tuple(map(print_value, values)) == shown


def test_what_a_person_signed_is_shown_as_a_whole_with_its_lines(home: Home) -> None:
    signed = (
        f"It was tried.\n\n- by 12 clerks\r\n1. for  a month\n\n\n{'We found it good. ' * 90}end\n"
    )
    lines = print_lines(signed)
    assert lines.startswith("It was tried.\n\n- by 12 clerks\n1. for a month\n\n\nWe found")
    paragraph = PrintedParagraph(lines, "signed", (1,))
    signature = PrintedParagraph("Signed by jane.", "signature", (1,))
    section = PrintedSection("section", "Answer", (paragraph, signature))
    document = replace(_document(("plain",)), sections=(section,))
    page = html5lib.HTMLParser(strict=True).parse(render_html(document))
    assert lines in "".join(page.itertext())
    tokens = MarkdownIt("commonmark").parse(render_markdown(document))
    assert sum(one.type == "blockquote_open" for one in tokens) == 2, "not one with the signature"
    shown = [
        "".join("\n" if c.type == "hardbreak" else c.content for c in one.children or ())
        for one in tokens
        if one.type == "inline"
    ]
    # The note is a link to this reader.
    assert "\n\n".join(shown[2:5]).removesuffix("^1") == lines.replace("\n\n\n", "\n\n")
    reader = pypdf.PdfReader(BytesIO(render_pdf(document, (), home)))
    text = "".join(page.extract_text() for page in reader.pages)
    assert "It was tried.\n- by 12 clerks\n1. for a month\n" in text
    assert text.count("We found it good.") == 90


def test_html_has_no_element_of_a_text() -> None:
    text = render_html(ALL)
    page = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    harmless = render_html(_document(("plain",) * len(HOSTILE)))
    plain = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(harmless)
    assert [one.tag for one in page.iter()] == [one.tag for one in plain.iter()]
    shown = "".join(page.itertext())
    assert all(print_text(one) in shown for one in HOSTILE)
    assert "http" not in text.replace("http-equiv", "").replace("http://evil", "").replace(
        "http://g", ""
    )


def test_markdown_has_no_markup_of_a_text() -> None:
    parser = MarkdownIt("commonmark").enable("table")
    for text in map(print_text, HOSTILE):
        for source in (f"# {escape_markdown(text)}", escape_markdown(text)):
            tokens = parser.parse(source)
            [inline] = [token for token in tokens if token.type == "inline"]
            assert {child.type for child in inline.children or ()} <= {"text", "text_special"}
            assert "".join(child.content for child in inline.children or ()) == text
    tokens = parser.parse(render_markdown(ALL))
    assert sum(token.type == "td_open" for token in tokens) == len(HOSTILE) + 2
    assert not [token for token in tokens if token.type.startswith(("html", "bullet", "fence"))]


@pytest.mark.parametrize("start", ["1. a", "- a", "+ a", "# a", "> a", "1) a", "=", "--- ", "~~~"])
def test_markdown_begins_nothing_by_a_text(start: str) -> None:
    tokens = MarkdownIt("commonmark").parse(escape_markdown(start))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]


def test_a_pdf_shows_texts_and_reads_nothing(home: Home) -> None:
    content = render_pdf(ALL, (), home)
    text = _pdf_text(content)
    for one in (SCRIPT, IMPORT, READ):
        assert "".join(one.split()) in text
    assert "root:" not in text
    assert "U+0645" in text
    assert render_pdf(ALL, (), home) == content


def test_a_digest_of_a_pdf_is_broken_where_its_column_ends(home: Home) -> None:
    digest = sha256(b"row").hexdigest()
    header = ("stage", "code of the factory", "code of the user", "computed", "notes")
    row = ("ingest", digest, digest, "2026-11-30T18:15:42.432041Z", "[1]")
    table = PrintedTable("Digests", header, (row,), (), ((1,),))
    document = replace(_document(("plain",)), sections=(PrintedSection("code", "Code", (table,)),))
    reader = pypdf.PdfReader(BytesIO(render_pdf(document, (), home)))
    [lines] = [page.extract_text().splitlines() for page in reader.pages]
    assert "".join(lines).count(digest) == 2, "it is copied as it is"
    assert max(len(word) for line in lines for word in line.split()) < 40


def test_without_the_compiler_a_pdf_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(SettingError, match="needs the extra `dossier`"):
        render_pdf(ALL, (), home)


def test_a_pdf_has_its_files(home: Home) -> None:
    attached = AttachedFile("dossier.json", "application/json", "A file", b'{"a": "\xc3\xa4"}')
    reader = pypdf.PdfReader(BytesIO(render_pdf(ALL, (attached,), home)))
    assert reader.attachments["dossier.json"] == [attached.content]


def test_the_layout_sees_no_files_outside(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if it asked for them; it imports nothing, and texts are data."""
    import typst

    assert "import" not in pdf._LAYOUT.read_text()
    (tmp_path / "secret").write_text("secret")
    layout = tmp_path / "document.typ"
    monkeypatch.setattr(pdf, "_LAYOUT", layout)
    for line in (f'#read("{tmp_path}/secret")', '#read("../../../../../etc/passwd")'):
        layout.write_text(line)
        with pytest.raises(typst.TypstError):
            render_pdf(ALL, (), home)


def test_the_fonts_have_every_character_that_is_shown_as_it_is(home: Home) -> None:
    every = [chr(number) for first, last in pdf._SHOWN for number in range(first, last + 1)]
    assert len(every) > 400
    assert not [one for one in every if unicodedata.category(one).startswith("C")]
    text = " ".join("".join(every[start : start + 16]) for start in range(0, len(every), 16))
    parts = tuple(text[start : start + 400] for start in range(0, len(text), 400))
    assert render_pdf(_document(parts), (), home)
