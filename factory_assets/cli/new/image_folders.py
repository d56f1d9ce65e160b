"""Draft a declaration for images in folders: the name of each folder is the class of its images.

How tables are drafted belongs in `profile`, `recommend` and `render`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path

from factory_assets.cli.new.reading import is_data_file
from factory_assets.cli.new.recommend import METRICS
from factory_assets.cli.new.split import require_divisible
from factory_assets.cli.new.yaml_text import comment, gates, heading, yaml_string
from factory_assets.spec.sources import IMAGE_COLUMNS
from factory_assets.spec.train import Task
from factory_resources.errors import DataError, SourceError
from factory_resources.ledger.factory_verify import amount
from factory_resources.sources.files.discovery import find_files, glob_paths, is_hidden
from factory_resources.sources.files.images import FORMATS, SUFFIXES

_LABEL = "label"

_SIZE = 64
"""Pixels; smaller images are not enlarged."""

_LEAST = 8

_OPENED = 30
"""Images by which size and colours are judged."""

_SHOWN = 8
"""Classes that are listed."""


@dataclass(frozen=True)
class ImageFolders:
    """Images, in a folder for each class."""

    patterns: tuple[Path, ...]
    """The globs that find them."""
    counts: Mapping[str, int]
    """The name of each folder to the number of its images."""
    size: int
    grey: bool

    @property
    def task(self) -> Task:
        return "binary" if len(self.counts) == 2 else "multiclass"


def find_images(source: Path) -> ImageFolders | None:
    """Return the images of a folder or a glob; None if it has none, or tables beside them.

    Raises:
        SourceError: they are not in a folder for each class.
        DataError: there are too few for training, validation and test.
    """
    found = _in_folder(source) if source.is_dir() else _matched(source)
    if found is None:
        return None
    patterns, paths = found
    counts = Counter(path.parent.name for path in paths)
    if len(counts) < 2:
        where = paths[0].parent
        raise SourceError(
            f"{amount(len(paths), 'images')} in one folder: nothing says what they show",
            where=str(where),
            remedy=f"put those of each class into a folder of its own, such as {where.name}/good "
            f"and {where.name}/bad, and name the folder above",
        )
    require_divisible(
        counts.values(),
        f"folders in {source.name}" if source.is_dir() else "folders",
        "images",
        "add images, or put those of rare classes into one folder",
    )
    size, grey = _measured(paths)
    return ImageFolders(patterns, dict(sorted(counts.items())), size, grey)


def _in_folder(folder: Path) -> tuple[tuple[Path, ...], list[Path]] | None:
    if any(_is_table(path) for path in folder.iterdir()):
        return None
    images = [path for path in glob_paths(folder, "**/*") if _is_image(path) and path.is_file()]
    if not images:
        return None
    depths = {len(path.relative_to(folder).parts) for path in images}
    between = "/".join("*" * (max(depths) - 1)) if len(depths) == 1 else "**"
    suffixes = sorted({path.suffix for path in images})
    return tuple(folder / between / f"*{suffix}" for suffix in suffixes), images


def _matched(source: Path) -> tuple[tuple[Path, ...], list[Path]] | None:
    if source.suffix.lower() not in SUFFIXES:
        return None
    several = has_magic(str(source)) and not source.exists()
    paths = [file.path for file in find_files((str(source),), Path())] if several else [source]
    return (source,), [path for path in paths if _is_image(path)] or paths


def _is_table(path: Path) -> bool:
    """Whether a file beside images is data; a text is more likely to say what they are."""
    return path.suffix.lower() != ".txt" and is_data_file(path.name) and path.is_file()


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not is_hidden(path.name, "*")


def _measured(paths: Sequence[Path]) -> tuple[int, bool]:
    """Return the size that images are scaled to, and whether all are grey, by some of them."""
    from PIL import Image

    shortest, modes = [_SIZE], set[str]()
    for path in paths[:: max(1, len(paths) // _OPENED)]:
        try:
            with Image.open(path, formats=FORMATS) as image:
                shortest.append(min(image.size))
                modes.add(image.mode)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            # What is no image goes to quarantine.
            continue
    is_grey = bool(modes) and all(mode.startswith(("L", "1", "I")) for mode in modes)
    return max(_LEAST, min(shortest)), is_grey


def render_images(
    images: ImageFolders, *, patterns: Sequence[str], label: str | None, schema: str
) -> tuple[str, str]:
    """Return the text of the whole file, and the target.

    Args:
        images: what is drafted for.
        patterns: as the declaration names them.
        label: the name of the column of the classes; None for `label`.
        schema: the comment that names the schema to editors; may be empty.

    Raises:
        DataError: the label is a column of every image.
    """
    target = label or _LABEL
    if target in IMAGE_COLUMNS:
        raise DataError(
            f"{target!r} is a column of every image",
            where="--target",
            remedy="choose another name for the classes, or leave --target out",
        )
    named, quoted = yaml_string(target), ", ".join(map(yaml_string, patterns))
    listed = [f"{yaml_string(name)} {count:,}" for name, count in images.counts.items()]
    classes = ", ".join(listed[:_SHOWN]) + ", …" * (len(listed) > _SHOWN)
    metric = METRICS[images.task]
    rarer = min(images.counts, key=lambda name: (images.counts[name], name))
    positive = f"    positive: {yaml_string(rarer)}  # the class that metrics refer to"
    lines = [
        *heading(target),
        f"    source:  {comment(classes)}",
        f"      images: [{quoted}]",
        f"      label: {named}  # the name of each folder",
        f"      size: {images.size}  # pixels to which width and height are scaled",
        f"      colours: {'grey' if images.grey else 'rgb'}",
        "    contract:",
        "      - {name: path, type: string}",
        "      - {name: sha256, type: string}",
        "      - {name: pixels, type: string, nullable: false}  # null: no image, to quarantine",
        f"      - {{name: {named}, type: string, nullable: false}}",
        "",
        "  clean: {deduplicate: [sha256]}  # a file that is there twice counts once",
        "",
        "  # If several images show the same thing, such as a patient, derive a column that names",
        "  # it from the path, and write `group` with that column in place of `stratify`.",
        f"  split: {{test: 0.2, validation: 0.1, stratify: {named}}}",
        "",
        "  train:",
        f"    target: {named}",
        f"    task: {images.task}",
        *([positive] if images.task == "binary" else []),
        "    exclude: [path, sha256]",
        "    model: {kind: cnn, image: pixels}",
        "",
        "  evaluate:",
        f"    metric: {metric}",
        *gates(metric),
    ]
    return schema + "\n".join(lines) + "\n", target
