"""Write a declaration to fill in, for `dg scaffold defs factory_assets.ModelPipeline NAME`.

Filling one in from a data file belongs in `factory new`.
"""

from typing import Any

import click
import dagster as dg

from factory_assets.declarations.loader import FILE, NAME_RULE, TYPES, is_pipeline_name

TEMPLATE = f"""\
type: {TYPES[0]}

attributes:
  purpose: Say what the model is for, in a sentence that its users would recognise
  # owners: [team:maintenance, jane@example.org]
  # risk: {{tier: high, area: medical device}}  # EU AI Act; no previews of rows when high

  ingest:
    source: {{files: data.csv}}                 # beside this file; or python: module:function
    # missing: ["", "?", NA]                  # values that mean "missing"
    contract:                                 # the columns to read; others are ignored
      - {{name: amount, type: float64, range: [0, null]}}
      - {{name: colour, from: "Colour (main)", type: string}}
      - {{name: outcome, type: string, nullable: false, values: ["yes", "no"]}}

  # clean:
  #   where: {{amount_positive: amount > 0}}    # a row that breaks a rule goes to quarantine
  #   deduplicate: [amount, colour]
  #   derive: {{log_amount: ln(amount)}}        # new columns, in SQL

  split: {{test: 0.2, validation: 0.1, stratify: outcome}}  # or group, time, given

  train:
    target: outcome
    exclude: []                               # identifiers, and columns known only afterwards
    model: {{kind: gradient_boosting}}          # or linear, random_forest, mlp

  evaluate:
    gates:                                    # a candidate that fails one is not deployed
      - {{metric: average_precision, better_than: linear}}
      - {{metric: average_precision, no_worse_than: champion}}
    slices: [colour]                          # metrics for each value

  # deploy: {{approval: {{signatures: 1}}}}     # people approve each version; required for high

  # schedule: {{cron: "0 2 * * *", timezone: Europe/Berlin, enabled: true}}
"""


class PipelineScaffolder(dg.Scaffolder[Any]):
    """Writes `TEMPLATE` into a new folder; never replaces a file."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the template.

        Raises:
            click.ClickException: the name is invalid, the format is not YAML, or the file exists.
        """
        file = request.target_path / FILE
        if request.append or file.exists():
            raise click.ClickException(f"{file} exists already; a file declares one pipeline")
        if request.scaffold_format != "yaml":
            raise click.ClickException("a pipeline is declared in YAML; leave out --format")
        if not is_pipeline_name(request.target_path.name):
            raise click.ClickException(f"{request.target_path.name!r}: {NAME_RULE}")
        file.write_text(TEMPLATE, encoding="utf-8")
