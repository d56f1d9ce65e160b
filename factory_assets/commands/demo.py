"""`make demo`: every shipped pipeline, one table, and where to go from there."""

from pathlib import Path

from rich.console import Console

import factory_assets
from factory_assets.commands.run import run

_NEXT = """
Next:
  make up                                          the UI on http://127.0.0.1:3000
  factory predict machine_failure FILE             score a file with the champion
  factory new NAME --from data.csv --target y      your own pipeline
(the factory command is in .venv/bin)"""


def demo(console: Console) -> None:
    """Run the pipelines that ship with the factory."""
    shipped = Path(factory_assets.__file__).parent / "defs"
    run(sorted(file.parent.name for file in shipped.glob("*/defs.yaml")), console=console)
    console.print(_NEXT, highlight=False)
