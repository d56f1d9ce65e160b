"""Scan for personal data that is not declared, by the names of columns and by their values.

It reports columns with a reason and never repeats a value. A hint for a person, not a proof.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from unicodedata import normalize

_LOOKED_AT = 2_000
"""Largest number of values of a column that are examined."""

_LETTERS = 300
"""Characters of a text that are searched: searching takes quadratic time in their number."""

_NAMES = {
    "a person's name": """
        name fullname firstname lastname middlename givenname forename surname maidenname
        patient patientname customername clientname employeename username contactname
        vorname nachname familienname geburtsname patientenname kundenname mitarbeitername
        nom prenom nomdefamille nombre apellido apellidos
        cognome nome sobrenome achternaam voornaam fornavn etternavn efternamn fornamn imie nazwisko
        """,
    "an address": """
        address streetaddress homeaddress street adresse anschrift strasse hausnummer rue direccion
        calle indirizzo endereco adres straat ulica
        """,
    "a date of birth": """
        birthdate dateofbirth dob birthday geburtsdatum geburtstag geb gebdat gebdatum
        datedenaissance fechadenacimiento fechanacimiento datadinascita datanascimento geboortedatum
        """,
    "a number of a person": """
        ssn socialsecuritynumber nationalid passport passportnumber passportno personalnummer
        sozialversicherungsnummer steuerid svnr versichertennummer ahvnr nir numerosecu nif dni
        codicefiscale cpf bsn cpr personnummer pesel patientid patientnbr patientnr patientennr
        patientennummer insurancenumber
        taxid driverslicense medicalrecordnumber mrn
        """,
    "an e-mail address": "email emailaddress mail emailadresse courriel correo correoelectronico",
    "a phone number": """
        phone phonenumber telephone mobile cellphone fax telefon telefonnummer handynummer mobil
        telefono telephonenumber numerodetelephone telefone telefoon
        """,
    "a bank account": """
        iban accountnumber bankaccount kontonummer bankverbindung creditcard cardnumber
        """,
    "a network address": "ip ipaddress ipadresse macaddress",
}

_BY_NAME = {word: what for what, words in _NAMES.items() for word in words.split()}

_ENDS = """
    firstname lastname middlename givenname maidenname surname forename vorname nachname
    familienname geburtsname dateofbirth birthdate geburtsdatum geburtstag phonenumber
    telephonenumber telefonnummer handynummer emailaddress emailadresse streetaddress homeaddress
    """
"""What a column holds whoever it is about: `customer_first_name`, but not `product_name`."""

_ROLES = """
    kunde kundin klient mandant mitarbeiter sachbearbeiter bearbeiter pruefer prufer tester melder
    meldender ersteller erfasser bediener techniker monteur fahrer werker betreuer berater verkaufer
    verkaeufer ansprechpartner kontakt verantwortlicher leiter lehrer arzt arztin behandler
    inspector operator reporter assignee owner approver reviewer auditor supervisor manager
    technician engineer worker driver agent clerk seller salesperson advisor contact author
    employee customer client patient person user nurse doctor physician teacher student tenant
    reportedby createdby approvedby checkedby inspectedby geprueftvon gepruftvon
    gemeldetvon erstelltvon bearbeitetvon
    """
"""What somebody is or did, at the end of a name: a person's name if the values look like one."""

_ROLE = re.compile(rf".*({'|'.join(_ROLES.split())})(s|n|in|innen)?(name)?")

_TEXT_ONLY = frozenset({"a person's name", "an address"})

_EMAIL = re.compile(r"[^\s@<>]{1,64}@[^\s@<>]{1,255}\.[^\W\d_]{2,}")

_PHONE = re.compile(
    r"(\+|00)[1-9][0-9 ()/.-]{6,}|0[1-9][0-9]{1,4}[ /-][0-9 -]{4,}"
    r"|\(?[2-9][0-9]{2}\)?[ .-][0-9]{3}[ .-][0-9]{4}"
)

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")

_NAME = r"[A-ZÀ-Þ][^\W\d_]*(['\u2019-][A-ZÀ-Þ][^\W\d_]+)?\.?"

_FULL_NAME = re.compile(
    rf"{_NAME},?( (von|van|de|der|den|zu|la|di|da|dos|el|al|bin))*( {_NAME}){{1,2}}"
)
"""Two or three capitalised words: first name and surname, or the reverse."""

_MANY_NAMES = 0.7
"""The smallest share of full names in a column that is named like a role."""

_TITLED = re.compile(r"(^|[,;] )(Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Mme|Mlle|Sra|Sr|Sig)\.? [A-ZÀ-Þ]")


def is_iban(text: str) -> bool:
    """Return whether a text is an International Bank Account Number with valid check digits."""
    bare = text.replace(" ", "").upper()
    if not _IBAN.fullmatch(bare):
        return False
    return int("".join(str(int(c, 36)) for c in bare[4:] + bare[:4])) % 97 == 1


def _is_phone(text: str) -> bool:
    return bool(_PHONE.fullmatch(text)) and 7 <= sum(c.isdigit() for c in text) <= 15


_BY_VALUE: tuple[tuple[str, float, Callable[[str], object]], ...] = (
    ("e-mail addresses", 0.01, _EMAIL.search),
    ("bank accounts (IBAN)", 0.01, is_iban),
    ("phone numbers", 0.3, _is_phone),
    ("names with a title", 0.3, _TITLED.search),
)
"""Each kind of value: its name, the smallest share of a sample that is reported, and its test."""


def scan_for_pii(columns: Mapping[str, str], sampled: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns that look like personal data, each with the reason.

    Args:
        columns: the DuckDB type of each column.
        sampled: values of some of the columns, without missing ones.
    """
    reasons = {}
    for name, kind in columns.items():
        values = sampled.get(name) if kind == "VARCHAR" else None
        reason = _by_name(name, kind) or _by_value(values) or _by_role(name, values)
        if reason:
            reasons[name] = reason
    return reasons


def _by_name(name: str, kind: str) -> str | None:
    bare = _bare(name)
    ends = (_BY_NAME[end] for end in _ENDS.split() if bare.endswith(end))
    what = _BY_NAME.get(bare) or next(ends, None)
    if what is None or (what in _TEXT_ONLY and kind != "VARCHAR") or kind == "BOOLEAN":
        return None
    return f"named like {what}"


def _bare(name: str) -> str:
    letters = normalize("NFKD", name.casefold().replace("ß", "ss"))
    return "".join(c for c in letters if c.isascii() and c.isalnum())


def names_role(name: str) -> bool:
    """Whether a column is named like somebody with a role, such as an inspector."""
    return bool(_ROLE.fullmatch(_bare(name)))


def _by_role(name: str, values: Iterable[Any] | None) -> str | None:
    if values is None or not names_role(name):
        return None
    share = _share(_sample(values), _FULL_NAME.fullmatch)
    return f"full names in {share:.0%} of a sample" if share >= _MANY_NAMES else None


def _by_value(values: Iterable[Any] | None) -> str | None:
    if values is None:
        return None
    sample = _sample(values)
    for what, least, test in _BY_VALUE:
        share = _share(sample, test)
        if share >= least:
            return f"{what} in {share:.0%} of a sample"
    return None


def _sample(values: Iterable[Any]) -> list[str]:
    present = list(values)
    return [str(value)[:_LETTERS].strip() for value in present[:: len(present) // _LOOKED_AT + 1]]


def _share(sample: list[str], test: Callable[[str], object]) -> float:
    return sum(bool(test(text)) for text in sample) / max(1, len(sample))
