"""`python -m factory_assets.cli`, as `factory`."""

from factory_assets.cli.main import main

main(prog_name="factory")
