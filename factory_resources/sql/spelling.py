"""One spelling of a text, as SQL."""


def unified_sql(cell: str) -> str:
    """Return SQL for the one spelling of a text: lower case, single blanks, composed Unicode.

    Blanks are of any kind, invisible characters are left out, and a text of nothing else is null.
    """
    text = f"nfc_normalize(lower(nfc_normalize({cell})))"
    visible = rf"regexp_replace({text}, '\p{{Cf}}', '', 'g')"
    return rf"nullif(trim(regexp_replace({visible}, '[\s\p{{Z}}]+', ' ', 'g')), '')"
