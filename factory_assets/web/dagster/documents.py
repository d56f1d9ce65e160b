"""Read a GraphQL document: what it asks for at its root, and whether it is small enough to answer.

Dagster's server parses the same text with the same parser, and executes no more than was read here.
Which operations are allowed belongs in `operations`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
)

Kind = Literal["query", "mutation", "subscription"]

MAX_LENGTH = 32_768
"""Characters of a document; the UI's longest have about 10,000."""

MAX_ROOTS = 20
"""Fields at the root, with all aliases and fragments; the UI asks for 10 at most."""

MAX_FIELDS = 5_000
"""Fields of the document after each fragment was put in its places."""

MAX_LEVELS = 50
"""Fields and fragments within each other; the UI's deepest document has about 25."""

_TOO_LARGE = f"a document has at most {MAX_FIELDS} fields, and {MAX_LEVELS} within each other"


class MalformedDocumentError(Exception):
    """The document is not GraphQL, not one operation, or too large."""


@dataclass(frozen=True)
class Operation:
    """The one operation of a document."""

    kind: Kind
    roots: tuple[FieldNode, ...]
    """The fields at its root, also those in fragments; an alias does not change a field's name."""
    field_names: frozenset[str]
    """The names of all fields in the document, also of fragments that it does not use."""
    document: DocumentNode
    definition: OperationDefinitionNode

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields at the root, each once, in their order.

        Without `__typename`, which is a field of everything and does nothing.
        """
        names = dict.fromkeys(root.name.value for root in self.roots)
        return tuple(name for name in names if name != "__typename")


def read_operation(text: str) -> Operation:
    """Return the operation of a document.

    Raises:
        MalformedDocumentError: it cannot be parsed, or is not exactly one operation, or its
            fragments are unknown or contain themselves, or it exceeds a limit of this module.
    """
    try:
        document = parse(text, max_source_length=MAX_LENGTH)
    except GraphQLError as error:
        raise MalformedDocumentError(error.message) from error
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    fragments = {
        one.name.value: one
        for one in document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    if len(operations) != 1 or len(operations) + len(fragments) != len(document.definitions):
        raise MalformedDocumentError("a document has one operation, and each fragment once")
    sizes = _Sizes(fragments)
    for fragment in fragments:
        sizes.of_fragment(fragment)
    sizes.of(operations[0].selection_set, 0)
    roots = tuple(_fields(operations[0].selection_set, fragments))
    if len(roots) > MAX_ROOTS:
        raise MalformedDocumentError(f"a document has at most {MAX_ROOTS} fields at its root")
    return Operation(
        kind=operations[0].operation.value,
        roots=roots,
        field_names=frozenset(sizes.field_names),
        document=document,
        definition=operations[0],
    )


class _Sizes:
    """Counts fields as if each fragment stood in its places, in one pass over the document."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, tuple[int, int]] = {}
        self._open: set[str] = set()
        self.field_names: set[str] = set()

    def of(self, selections: SelectionSetNode | None, level: int) -> tuple[int, int]:
        """Return the number of fields in a selection, and how many levels it has."""
        if selections is None:
            return 0, 0
        count, levels = 0, 1
        for one in selections.selections:
            # Before the call: it protects the interpreter's stack.
            if level > MAX_LEVELS:
                raise MalformedDocumentError(_TOO_LARGE)
            if isinstance(one, FragmentSpreadNode):
                fields, below = self.of_fragment(one.name.value, level + 1)
            else:
                fields, below = self.of(cast(FieldNode, one).selection_set, level + 1)
            if isinstance(one, FieldNode):
                self.field_names.add(one.name.value)
                fields += 1
            count, levels = count + fields, max(levels, below + 1)
            if count > MAX_FIELDS or levels > MAX_LEVELS:
                raise MalformedDocumentError(_TOO_LARGE)
        return count, levels

    def of_fragment(self, name: str, level: int = 0) -> tuple[int, int]:
        """Return the number of fields in a fragment, and how many levels it has."""
        if name in self._known:
            return self._known[name]
        if name in self._open or name not in self._fragments:
            raise MalformedDocumentError("a fragment is unknown or contains itself")
        self._open.add(name)
        self._known[name] = self.of(self._fragments[name].selection_set, level)
        self._open.remove(name)
        return self._known[name]


def _fields(
    selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> Iterator[FieldNode]:
    """Yield the fields of a selection and of the fragments in it; they are known to be few."""
    for one in selections.selections:
        if isinstance(one, FieldNode):
            yield one
        elif isinstance(one, InlineFragmentNode):
            yield from _fields(one.selection_set, fragments)
        else:
            spread = cast(FragmentSpreadNode, one)
            yield from _fields(fragments[spread.name.value].selection_set, fragments)
