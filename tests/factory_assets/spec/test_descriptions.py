"""What each key means is read from the source of the models."""

from factory_assets.spec import Gate
from factory_assets.spec.base import Spec
from factory_assets.spec.descriptions import descriptions


class Above(Spec):
    first: int
    """Of the
    class above."""
    bare: int = 0


class Below(Above):
    second: str = ""
    """Its own."""
    first: int = 1


def test_inherited_and_own_fields() -> None:
    assert dict(descriptions(Below)) == {"first": "Of the\nclass above.", "second": "Its own."}


def test_a_key_of_the_vocabulary() -> None:
    assert descriptions(Gate)["metric"] == "What is compared."
