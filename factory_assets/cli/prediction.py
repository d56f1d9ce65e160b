"""`factory trace ID`: the logged answer with this id, as text or as JSON."""

import json
import re
from dataclasses import asdict

from factory_assets.audit.prediction import logged_prediction
from factory_resources.home.home import Home

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_prediction_id(name: str) -> bool:
    """Whether a name is the id of a prediction."""
    return bool(_ID.fullmatch(name))


def prediction_json(name: str) -> str:
    """Return the answer as JSON.

    Raises:
        UnknownNameError: there is none.
    """
    return json.dumps(asdict(logged_prediction(name, Home.from_env())), indent=1) + "\n"


def prediction_text(name: str) -> str:
    """Return the answer for a terminal.

    Raises:
        UnknownNameError: there is none.
    """
    found = logged_prediction(name, Home.from_env())
    who = f" by {found.caller}" if found.caller else ""
    lines = [
        f"prediction {found.id}",
        f"  asked     {found.time[:23].replace('T', ' ')} UTC{who} ({found.protocol}), row "
        f"{found.row + 1} of {max(1, found.rows)}, answered in {found.milliseconds:.1f} ms",
        f"  model     {found.pipeline}@{found.version}",
    ]
    if found.input is not None:
        lines += [f"  input     {name} = {value!r}" for name, value in found.input.items()]
    lines += [f"  output    {name} = {value!r}" for name, value in found.output.items()]
    block = f"block {found.block} of the ledger" if found.block else "not yet in the ledger"
    lines += [f"  proof     {block}", f"  next      factory trace {found.pipeline}@{found.version}"]
    return "\n".join(lines) + "\n"
