"""Print the mean and standard deviation of an example's test metrics over several seeds.

    python examples/seeds.py turbofan [--seeds 3]

The script runs ingest to evaluate once per seed, in a temporary home. The seed replaces those of
split and training; the declaration file is not changed.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory

import click

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.stages import STAGES
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.security.offline import go_offline

FOLDER = Path(__file__).parent


def with_seed(pipeline: Pipeline, seed: int) -> Pipeline:
    """Return the pipeline with another seed for split and training."""
    spec = pipeline.spec
    changed = {
        "split": spec.split.model_copy(update={"seed": seed}),
        "train": spec.training.model_copy(update={"seed": seed}),
    }
    return replace(pipeline, spec=spec.model_copy(update=changed))


def verdicts(pipeline: Pipeline, seeds: int, home: Home) -> Iterator[EvaluationResult]:
    """Yield the evaluation for seeds 0, 1, …; stages that no seed affects are computed once."""
    for seed in range(seeds):
        seeded = with_seed(pipeline, seed)
        for stage in STAGES[: STAGES.index("evaluate") + 1]:
            outcome = run_stage(StageRequest(seeded, stage, home, run_id=f"seed-{seed}"))
        assert isinstance(outcome.value, EvaluationResult)
        yield outcome.value


@click.command()
@click.argument("name")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=2))
def main(name: str, seeds: int) -> None:
    """Print one line per metric of the example NAME: the model, then the linear baseline."""
    go_offline()
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        prepare(home)
        evaluations = list(verdicts(load_pipeline(FOLDER / name), seeds, home))
    for metric in evaluations[0].metrics:
        model = _mean_and_sd([result.metrics[metric] for result in evaluations])
        linear = _mean_and_sd([result.baselines["linear"][metric] for result in evaluations])
        click.echo(f"{metric:<18} {model}   linear {linear}")


def _mean_and_sd(values: list[float]) -> str:
    return f"{mean(values):8.3f} ± {stdev(values):.3f}"


if __name__ == "__main__":
    main()
