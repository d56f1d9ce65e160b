"""A file and the declaration that is drafted for it."""

from pathlib import Path

from factory_assets.cli.check.check import check_folder
from factory_assets.cli.new.new import new
from factory_assets.declarations.loader import load_pipeline
from factory_assets.spec import FileSource, Pipeline


def drafted(tmp_path: Path, text: str, target: str | None = None, **encoded: str) -> Pipeline:
    """Draft a declaration for a file, and require that nothing in it is wrong."""
    (tmp_path / "data.csv").write_text(text, **encoded)
    made = new("drafted", source=tmp_path / "data.csv", target=target, folder=tmp_path / "defs")
    assert [str(problem) for problem in check_folder(made.path.parent)] == []
    return load_pipeline(made.path.parent)


def file_source(pipeline: Pipeline) -> FileSource:
    source = pipeline.spec.ingest.source
    assert isinstance(source, FileSource)
    return source


def draft_text(tmp_path: Path) -> str:
    """Return the text of the declaration that was drafted."""
    return (tmp_path / "defs" / "drafted" / "defs.yaml").read_text()
