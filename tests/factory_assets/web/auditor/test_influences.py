"""Why the training rows that moved an answer are not shown: in the words of `factory trace`."""

from subprocess import CompletedProcess

import pytest

from factory_assets.web.auditor import influences
from factory_assets.web.auditor.influences import Influences
from factory_resources.errors import RefusedError
from factory_resources.home.home import Home

_COMMAND = "in a terminal: factory trace 01a2 --influence"


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (
            "error: p@1: its influence was not measured; declare it and run the pipeline",
            "p@1: its influence was not measured; declare it and run the pipeline",
        ),
        ("error: killed", f"killed; {_COMMAND}"),
        ("", f"it ended without a message; {_COMMAND}"),
    ],
)
def test_a_remedy_of_the_command_is_shown_alone(
    printed: str, shown: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = CompletedProcess([], 2, "", printed)
    monkeypatch.setattr(influences, "run_factory", lambda words, home: ended)
    with pytest.raises(RefusedError) as refused:
        Influences(home).of("01a2", "p", 1)
    assert str(refused.value) == shown
