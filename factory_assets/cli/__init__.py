"""The `factory` command, a module a sub-command."""
