"""What the verifier says of a home."""

from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import Expectation, verify_path


def problems(home: Home) -> list[str]:
    """Return what does not hold, one line each."""
    report, _ = verify_path(str(home.path), Expectation())
    return [str(problem) for problem in report.problems]
