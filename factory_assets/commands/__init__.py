"""What the `factory` command does, one module a command.

`factory_assets.cli` only parses and prints.
"""
