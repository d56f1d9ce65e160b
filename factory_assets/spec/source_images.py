"""Data in images: one row a file."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory_assets.spec.base import ColumnName, Spec, Strings

IMAGE_COLUMNS = ("path", "sha256", "pixels")
"""The columns of each row: where the file is, the digest of its bytes, and what it shows."""


class ImageSource(Spec):
    """PNG and JPEG files, brought to one size; relative paths start at the folder of the
    `defs.yaml`."""

    images: Strings
    """One or more paths or globs, such as `scans/**/*.png`."""
    size: Annotated[int, Field(ge=4, le=512)] = 64
    """Every image becomes so many pixels wide and high."""
    colours: Literal["rgb", "grey"] = "rgb"
    """Three numbers a pixel, or one."""
    label: ColumnName | None = None
    """The column that holds the name of each image's folder."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if self.label in IMAGE_COLUMNS:
            raise ValueError(f"label {self.label!r} is a column of every image; choose another")
        return self
