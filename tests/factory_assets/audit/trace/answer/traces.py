"""Trace an answer by the command, in this process."""

import json

import jsonschema
from click.testing import CliRunner

from factory_assets.audit.trace.answer.report import AnswerTrace
from factory_assets.cli.main import main
from factory_assets.cli.schema import output_schema_text


def call(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["trace", *map(str, arguments)])
    return done.exit_code, done.output


def traced(*arguments: object, code: int = 0) -> AnswerTrace:
    """Return the trace that the command prints, which satisfies its schema."""
    ended, text = call(*arguments, "--json")
    assert ended == code, text
    jsonschema.validate(json.loads(text), json.loads(output_schema_text(AnswerTrace)))
    return AnswerTrace.model_validate_json(text)
