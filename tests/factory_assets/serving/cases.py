"""A deployed pipeline whose files a test scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_assets.serving.batch import predict
from factory_assets.serving.online.served_model import ServedModel
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_assets.stages.train import train
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from tests.factory_assets.ml.models.cases import keep, serve, verdict


class Deployed:
    """A champion, and its pipeline's folder and home."""

    def __init__(self, folder: Path, spec: Mapping[str, Any]) -> None:
        self.folder, self.home = folder, Home(folder / "home")
        self.pipeline = Pipeline("p", PipelineSpec.model_validate(spec), folder)
        cleaned = clean(self.pipeline, ingest(self.pipeline, self.home), self.home)
        parts = split(self.pipeline, cleaned, self.home)
        candidate = train(self.pipeline, parts, self.home)
        test = read_arrow(parts.test, self.home)
        target = test[self.pipeline.spec.training.target]
        # `verdict` calls the truth `y`.
        renamed = keep(self.home, "with_y", test.append_column("y", target))
        named = parts.model_copy(update={"test": renamed})
        passed = verdict(self.pipeline, named, candidate, self.home)
        serve(self.pipeline, parts, candidate, passed, self.home)

    def predict(self, name: str, content: str | bytes) -> list[dict[str, Any]]:
        """Score a file of that name and content."""
        data = content.encode() if isinstance(content, str) else content
        (self.folder / name).write_bytes(data)
        rows: list[dict[str, Any]] = predict(
            self.pipeline, self.folder / name, self.home
        ).to_pylist()
        return rows


def served_by(deployed: Deployed) -> ServedModel:
    """Return the champion as a server loads it."""
    version, model = load_champion("p", deployed.home)
    return ServedModel("p", version, model, deployed.home)
