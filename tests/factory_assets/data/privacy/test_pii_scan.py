"""The scan for personal data: which names and values it recognises, and which it ignores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.data.privacy.pii_scan import is_iban, scan_for_pii

VALUES = {
    "e-mail addresses": ["ann@example.org", "write to bob.b+x@mail.example.co.uk please"],
    "bank accounts (IBAN)": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"],
    "phone numbers": ["+49 171 1234567", "0171 123-4567", "(212) 555-0123", "0049-30-1234567"],
    "names with a title": ["Mr. Owen Harris", "Braund, Mrs. Owen", "Frau Müller"],
}

HARMLESS = [
    "2024-01-31 10:15",
    "12.5",
    "a-17/b",
    "DE89370400440532013001",
    "1234567",
    "M14860",
    "drop @ 5",
    "192.168 mm",
    "Miss rate",
]


@pytest.mark.parametrize("what", VALUES)
def test_personal_values_are_recognised(what: str) -> None:
    found = scan_for_pii({"x": "VARCHAR"}, {"x": np.array(VALUES[what], dtype=object)})
    assert found["x"].startswith(what)
    assert not any(value in found["x"] for value in VALUES[what])


@pytest.mark.parametrize("value", HARMLESS)
def test_other_values_are_ignored(value: str) -> None:
    assert scan_for_pii({"x": "VARCHAR"}, {"x": np.array([value], dtype=object)}) == {}


def test_a_few_addresses_among_much_text_are_found() -> None:
    texts = ["nothing to see"] * 97 + ["ann@example.org"] * 3
    assert "x" in scan_for_pii({"x": "VARCHAR"}, {"x": np.array(texts, dtype=object)})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Vorname", "VARCHAR"),
        ("patient_name", "VARCHAR"),
        ("Patient", "VARCHAR"),
        ("Patienten-Nr.", "BIGINT"),
        ("Straße", "VARCHAR"),
        ("Prénom", "VARCHAR"),
        ("SSN", "BIGINT"),
        ("date-of-birth", "DATE"),
        ("IP Address", "VARCHAR"),
        ("customer_first_name", "VARCHAR"),
        ("contactLastName", "VARCHAR"),
        ("Kunde: Geburtsdatum", "DATE"),
        ("Geb.", "DATE"),
    ],
)
def test_personal_names_of_columns_are_recognised(name: str, kind: str) -> None:
    assert scan_for_pii({name: kind}, {})[name].startswith("named like")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("name", "BIGINT"),
        ("patient", "BIGINT"),
        ("mail", "BOOLEAN"),
        ("tip", "DOUBLE"),
        ("surnames_total", "BIGINT"),
        ("product_name", "VARCHAR"),
        ("own_telephone", "VARCHAR"),
        ("has_first_name", "BOOLEAN"),
        ("length_of_last_name", "BIGINT"),
    ],
)
def test_other_names_of_columns_are_ignored(name: str, kind: str) -> None:
    assert scan_for_pii({name: kind}, {}) == {}


_FULL = ["Anna Muster", "Dietmar von Au", "Müller, Jörg", "A. O'Neill", "Ines Vogt-Rauch"]


@pytest.mark.parametrize(
    "name",
    [
        *("Prüfer", "Pruefer", "Melder", "Bearbeiter", "Sachbearbeiterin", "Mitarbeiter", "Kunde"),
        *("inspector", "operator", "Reporter Name", "QS_Prüfer", "geprüft von", "created_by"),
    ],
)
def test_full_names_of_people_with_a_role_are_recognised(name: str) -> None:
    found = scan_for_pii({name: "VARCHAR"}, {name: _FULL})
    assert found[name] == "full names in 100% of a sample"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Ort", _FULL),
        ("Prüfung", _FULL),
        ("operator", ["<", ">=", "Plus", "minus Eins"]),
        ("contact", ["cellular", "telephone"]),
        ("client", ["Web", "App 2", "Android 13"]),
        ("Kunde", ["K-1002", "K-7", "4711"]),
    ],
)
def test_other_texts_are_no_names_of_people(name: str, values: list[str]) -> None:
    assert scan_for_pii({name: "VARCHAR"}, {name: values}) == {}


@settings(deadline=None)
@given(st.from_regex(r"[A-Z]{2}[A-Z0-9]{11,30}", fullmatch=True))
def test_check_digits_distinguish_an_iban_from_a_code(text: str) -> None:
    rest = f"{text[2:]}{text[:2]}00"
    check = 98 - int("".join(str(int(c, 36)) for c in rest)) % 97
    valid = f"{text[:2]}{check:02}{text[2:]}"
    assert is_iban(valid) == (15 <= len(valid) <= 34)
    wrong = f"{text[:2]}{(check + 1) % 97:02}{text[2:]}"
    assert not is_iban(wrong) or (check + 1) % 97 == check % 97
