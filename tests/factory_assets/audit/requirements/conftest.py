"""One home for the tests of this package, which copy it or only read it."""

import pytest

from tests.approvals import Factory, copy_factory, make_factory
from tests.pipelines import write_governance

STATEMENTS = {
    "annex-iv.1a": "To sort apples",
    "annex-iv.2g": "The sorter finds these results good enough",
    "annex-iv.7": "None was applied",
    "article.9": "See the risk register",
    "article.12.1": "Apples that fell from the belt",
}


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory in which version 1 waits, and jane has signed four of five statements."""
    factory = make_factory(tmp_path_factory.mktemp("made") / "root")
    write_governance(factory.defs / "apples", statements=STATEMENTS)
    with pytest.MonkeyPatch.context() as patch:
        copied = copy_factory(factory, tmp_path_factory.mktemp("signed") / "root", patch)
        names = [name for name in STATEMENTS if name != "article.12.1"]
        code, text = copied.factory("governance", "sign", "apples", *names, by="jane")
        assert code == 0, text
    return copied
