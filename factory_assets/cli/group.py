"""The group of the `factory` command line, and how its commands end.

The commands are in `main` and in the modules whose names end in `_commands`.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click

from factory_resources.home.database import require_recorded_engine
from factory_resources.home.home import Home
from factory_resources.interpreter import collect_less, keep_interruptions
from factory_resources.sql.engine import interruptible
from factory_resources.store.location import declared_store, require_recorded_store

STAGES_STORED = "finished stages are stored, run the command again to resume"
"""What Ctrl-C leaves behind of a command that runs pipelines."""

PATH = click.Path(path_type=Path)
"""The type of options and arguments that are paths."""

KEY_OPTION = click.option(
    "--key",
    type=PATH,
    help="Your key (default: FACTORY_KEY, or the only one that factory key new made).",
)
"""The option of every command by which a person signs."""


class _Commands(click.Group):
    """Commands that tell a mistyped command line on one line, as they tell every error."""

    group_class = type  # Click's word for: groups within are of this class, too

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _usage_on_one_line():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _usage_on_one_line():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List each command with its whole first sentence, which Click would cut at the line."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(one)) for name, one in commands if one])


def _summary(command: click.Command) -> str:
    return command.get_short_help_str(limit=len(command.help or ""))


@contextmanager
def _usage_on_one_line() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        message = " ".join(error.format_message().split())
        asked = f" (`{error.ctx.command_path} --help` shows what to give)" if error.ctx else ""
        click.echo(f"error: {message}{asked}", err=True)
        raise click.exceptions.Exit(error.exit_code) from error


class _Command(click.Command):
    """A command that takes no empty path: it would mean the present folder.

    Such is one whose variable a script has not set.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(args=[*args])
        for one in self.params:
            value = given.get(one.name or "")
            if isinstance(one.type, click.Path) and "" in (value, *_each(value)):
                raise click.BadParameter("the path is empty", ctx, one)
        return super().parse_args(ctx, args)


def _each(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="sovereign-ai-factory", prog_name="factory")
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """Declare, run and audit machine-learning pipelines on your own machine."""
    from factory_assets.declarations.folders import keep_named_folders
    from factory_resources.security.offline import go_offline

    go_offline()
    keep_named_folders()
    collect_less()
    keep_interruptions()
    context.obj = debug


def command(
    name: str,
    group: click.Group = main,
    *,
    any_database: bool = False,
    needs_records: bool = True,
    acts: bool = False,
    interrupted: str = "run the command again",
    **settings: Any,
) -> Callable[[Callable[..., Any]], click.Command]:
    """Register a sub-command; print its errors as one line and exit with their code.

    Args:
        any_database: whether it starts even if the environment names other databases than those
            that the home has.
        needs_records: whether what other homes have put into the factory's store is fetched first.
        acts: whether it stores something in the home, so that root may not give it for another
            user, who could not read that.
        interrupted: the message after Ctrl-C.
    """

    def end_interrupted() -> NoReturn:
        click.echo(f"interrupted; {interrupted}", err=True)
        sys.exit(130)

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                if not any_database:
                    home = Home.from_env()
                    require_recorded_engine(home)
                    require_recorded_store(home)
                    if acts:
                        from factory_resources.instance import require_no_stranger

                        require_no_stranger(home)
                    if needs_records and declared_store():
                        from factory_resources.tables.shared_log import catch_up

                        catch_up(home)
                with interruptible():
                    return function(*args, **kwargs)
            except KeyboardInterrupt:
                end_interrupted()
            except click.Abort:
                click.echo("interrupted at a question; nothing was done", err=True)
                sys.exit(130)
            except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
                # Click itself ends the process as these ask for.
                raise
            except Exception as error:  # noqa: BLE001
                from factory_assets.cli.faults import end_with, is_interruption

                if is_interruption(error):
                    end_interrupted()
                end_with(error, debug=click.get_current_context().find_root().obj)

        return group.command(name, cls=_Command, **settings)(guarded)

    return decorate


def json_option(schema: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--json`; its help names the published schema, if there is one."""
    more = f"; for its schema: factory schema {schema}" if schema else ""
    return click.option("--json", "as_json", is_flag=True, help=f"Print JSON, for programs{more}.")


def console() -> Any:
    """Return the console of standard output."""
    from rich.console import Console

    made = Console()
    # A pipe has no width of its own, and the summary table needs this many columns.
    return made if made.is_terminal else Console(width=120)
