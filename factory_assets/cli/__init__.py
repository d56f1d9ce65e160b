"""The `factory` command, one module for each sub-command."""
