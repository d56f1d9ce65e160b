"""SQL that unifies different spellings of a text."""


def unified_sql(cell: str) -> str:
    """Return SQL for the unified spelling of a text: lower case, single blanks, composed Unicode.

    Any kind of white space counts as a blank. Invisible characters are removed, and a text without
    others is null.
    """
    text = f"nfc_normalize(lower(nfc_normalize({cell})))"
    visible = rf"regexp_replace({text}, '\p{{Cf}}', '', 'g')"
    return rf"nullif(trim(regexp_replace({visible}, '[\s\p{{Z}}]+', ' ', 'g')), '')"
