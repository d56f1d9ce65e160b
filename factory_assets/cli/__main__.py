"""Run the `factory` command as `python -m factory_assets.cli`."""

from factory_assets.cli.main import main

main(prog_name="factory")
