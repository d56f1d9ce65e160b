"""Where the `factory` command begins, also as `python -m factory_assets.cli`.

Commands and their options belong in `main` and the modules beside it, which take a moment to
import.
"""

import signal


def main() -> None:
    """Run the command line. Ctrl-C ends the process silently as long as no command has begun."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from factory_assets.cli.main import main as group
    from factory_assets.cli.standard_streams import prepare_streams

    prepare_streams()
    signal.signal(signal.SIGINT, handler)
    group(prog_name="factory")


if __name__ == "__main__":
    main()
