"""The command that erases a person: options, help texts and exit codes."""

import sys
from pathlib import Path

import click

from factory_assets.cli.group import KEY_OPTION, command


@command(
    "forget",
    interrupted="if the erasure was entered already, finish it: factory forget --resume; "
    "else nothing was erased",
)
@click.argument("pipelines", nargs=-1)
@click.option("--where", help="A SQL expression that is true for the person's rows alone.")
@click.option("--reason", help="The reason. It is signed and kept for ever, so name nobody in it.")
@KEY_OPTION
@click.option("--preview", "only_shown", is_flag=True, help="Show what there is; erase nothing.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask again.")
@click.option("--resume", "is_resumed", is_flag=True, help="Finish an erasure that was killed.")
def forget_command(
    pipelines: tuple[str, ...],
    where: str | None,
    reason: str | None,
    key: Path | None,
    only_shown: bool,
    is_sure: bool,
    is_resumed: bool,
) -> None:
    """Erase a person from the whole home, with a proof that names nobody.

    Shows the person's rows in every snapshot, the models that learned from them and the answers
    about them, and asks. Then all of it goes, models are trained anew, and the home is searched for
    the person's values. Only of PIPELINES, if some are named.

    Exit code 1: something of the person is still there; it is named. 2: nothing was erased.
    """
    from factory_assets.cli.forget import ForgetRequest, forget, resume
    from factory_resources.errors import RefusedError, UnknownNameError
    from factory_resources.home.home import Home

    if is_resumed:
        if pipelines or where or reason or only_shown:
            raise click.UsageError("--resume finishes the erasure that was begun, and no other")
        sys.exit(0 if resume(Home.from_env()) else 1)
    if not where:
        raise UnknownNameError(
            "no person is named", where="--where", remedy='write --where "patient_nbr = 42"'
        )
    if not reason and not only_shown:
        raise UnknownNameError(
            "there is no reason",
            where="--reason",
            remedy="write why, without a name; or look first, with --preview",
        )
    request = ForgetRequest(pipelines, where, reason, key, is_sure, only_shown)
    try:
        sys.exit(0 if forget(request) else 1)
    except RefusedError as error:
        # 1 would say that the erasure is over, and that something is left.
        error.exit_code = 2
        raise
