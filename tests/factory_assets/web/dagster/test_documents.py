"""Documents of GraphQL: what they ask for, and which are too large."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.web.dagster.documents import (
    MAX_FIELDS,
    MAX_ROOTS,
    MalformedDocumentError,
    read_operation,
)


@pytest.mark.parametrize(
    "text",
    [
        "mutation { wipeAssets(assetPartitionRanges: []) { __typename } }",
        "mutation { version: wipeAssets(assetPartitionRanges: []) { __typename } }",
        "mutation { ...F } fragment F on Mutation { wipeAssets }",
        "mutation { ... on Mutation { ... { wipeAssets } } }",
        "mutation { ...F } fragment F on Mutation { ...G } fragment G on Mutation { wipeAssets }",
        "mutation { wipeAssets @skip(if: true) }",
        "\ufeffmutation\n#{ version }\n{ wipeAssets }",
    ],
)
def test_an_operation_is_found_through_aliases_and_fragments(text: str) -> None:
    operation = read_operation(text)
    assert (operation.kind, operation.names) == ("mutation", ("wipeAssets",))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{ version } mutation { wipeAssets }",
        "query A { version } query B { version }",
        "fragment F on Query { version }",
        "{ ...F } fragment F on Query { ...F }",
        "{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }",
        "{ version } fragment F on Query { ...G } fragment G on Query { ...F }",
        "{ ...Missing }",
        "{ ...F } fragment F on Query { version } fragment F on Query { version }",
        "type Query { version: String }",
        "{ version } type Other { a: Int }",
        "{ version }" + " " * 40_000,
        "{" + "a {" * 60 + "b" + "}" * 60 + "}",
        "{ ...F " + "a {" * 30 + "...F" + "}" * 30 + "} "
        "fragment F on Query {" + "a {" * 30 + "b" + "}" * 30 + "}",
        "{" + "a {" * 5_000 + "b" + "}" * 5_000 + "}",
        "{ a(b: " + "[" * 8_000 + "]" * 8_000 + ") }",
        "{" + " ".join(f"a{n}: version" for n in range(MAX_ROOTS + 1)) + "}",
    ],
)
def test_a_document_that_is_malformed_or_too_large_is_refused(text: str) -> None:
    with pytest.raises(MalformedDocumentError):
        read_operation(text)


def test_fragments_that_double_their_fields_are_refused_before_they_are_counted_out() -> None:
    double = "fragment F{0} on T {{ a {{ ...F{1} }} b {{ ...F{1} }} }} "
    text = "{ x { ...F0 } } " + "".join(double.format(n, n + 1) for n in range(20))
    with pytest.raises(MalformedDocumentError, match=str(MAX_FIELDS)):
        read_operation(text + "fragment F20 on T { c }")


def test_a_long_chain_of_fragments_is_refused() -> None:
    chain = "".join(f"fragment F{n} on T {{ ...F{n + 1} }} " for n in range(900))
    with pytest.raises(MalformedDocumentError):
        read_operation("{ x { ...F0 } } " + chain + "fragment F900 on T { c }")


@given(st.text(alphabet="{}()[]:!$@.\"'# \nabFmutationqueryfragmenton0", max_size=80))
def test_any_text_is_an_operation_or_refused(text: str) -> None:
    with contextlib.suppress(MalformedDocumentError):
        assert read_operation(text).roots
