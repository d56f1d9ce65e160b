"""Texts that would do harm if they were taken as markup, code, paths or control characters."""

SCRIPT = "<script>alert(1)</script>"

IMPORT = '#import "@preview/evil:1.0.0": *'

READ = '#read("/etc/passwd")'

REVERSED = "abc\u202edef\u2066\u200b"

ARABIC = "\u0645\u0631\u062d\u0628\u0627"

MARKDOWN = (
    "[x](javascript:alert(1)) ![y](http://evil.example/z) *b* _i_ `c` | d\n# e\n- f <http://g>"
)

LONG = "x" * 10_000

BREAKING = "]] } ${7*7} {{7*7}} {% raw %} \\ $ #{ panic() } @label <label> // */ \" ' &amp; &#x41;"

HOSTILE = (SCRIPT, IMPORT, READ, REVERSED, ARABIC, MARKDOWN, LONG, BREAKING, "\x00\x1b[31m\r\n\t")
