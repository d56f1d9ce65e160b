"""Call the six stages one after the other, as a data scientist would without Dagster.

python -m benchmarks.plain_script PIPELINE_FOLDER HOME
"""

import sys
from pathlib import Path

import yaml

from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.clean import clean
from factory_assets.stages.deploy import deploy
from factory_assets.stages.evaluate import evaluate
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_assets.stages.train import train
from factory_resources.home.home import Home


def main(folder: Path, home: Home) -> None:
    declared = yaml.safe_load((folder / "defs.yaml").read_bytes())["attributes"]
    pipeline = Pipeline(folder.name, PipelineSpec.model_validate(declared), folder)
    ingested = ingest(pipeline, home)
    cleaned = clean(pipeline, ingested, home)
    parts = split(pipeline, cleaned, home)
    candidate = train(pipeline, parts, home)
    verdict = evaluate(pipeline, parts, candidate, home, champion=None)
    champion = deploy(pipeline, parts, candidate, verdict, home)
    print(f"v{champion.version}", verdict.metrics)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Home(Path(sys.argv[2])))
