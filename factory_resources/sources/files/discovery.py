"""Find the files of a source: names, globs, variables, formats, digests."""

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from errno import EACCES
from glob import has_magic
from pathlib import Path
from typing import Any, Literal

from factory_resources.errors import SourceError
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import PROJECT

Format = Literal["csv", "parquet", "jsonl", "arff"]

Packing = Literal["plain", "gz", "zst", "zip"]

_FORMATS: dict[str, Format] = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".data"), "csv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".arff": "arff",
}

_PACKINGS: dict[str, Packing] = {".gz": "gz", ".zst": "zst", ".zip": "zip"}

_CONVERSIONS = {
    ".json": "write one object a line, as jq -c '.[]' does, into a file that ends in .jsonl",
    **dict.fromkeys(
        (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
        "save the sheet as CSV, or read it by a function: source.python",
    ),
    **dict.fromkeys(
        (".bz2", ".xz", ".lzma", ".7z", ".rar", ".tar", ".tgz"),
        "unpack it; packed files that are read end in .gz, .zst or .zip",
    ),
    **dict.fromkeys(
        (".db", ".sqlite", ".sqlite3"),
        'declare a table of it as the source: {database: "sqlite:PATH", table: NAME}, '
        "or write it as CSV",
    ),
    ".duckdb": "write the table as Parquet: COPY NAME TO 'name.parquet'",
    **dict.fromkeys(
        (".feather", ".arrow", ".orc", ".avro", ".pkl", ".rds", ".sav", ".dta", ".xpt", ".xml"),
        "write it as CSV or Parquet, or read it by a function: source.python",
    ),
}
"""The end of a file's name to the advice how to convert the file to a format that is read."""

_SEARCH = os.R_OK | os.X_OK
"""The rights to list the files of a folder and to open them."""

_NOT_UTF8 = "has a name that is not UTF-8, or is in a folder with one"

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class File:
    """One source file."""

    path: Path
    name: str
    """The name for messages: as declared with its variables, the user's home folder as `~`."""
    label: str | None = None


def expand(text: str, variables: Mapping[str, str] = os.environ) -> str:
    """Replace `${FACTORY_...}`; FACTORY_DATA is by default `shared/data` beside the project.

    Raises:
        SourceError: a variable is not set, or its name does not begin with FACTORY_.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not name.startswith("FACTORY_"):
            raise SourceError(
                f"variable {match[0]} is not replaced",
                where=text,
                remedy="use only variables whose names begin with FACTORY_",
            )
        if name in variables:
            return variables[name]
        if name == "FACTORY_DATA":
            return str(PROJECT.parent / "shared" / "data")
        known = sorted({"FACTORY_DATA"} | {n for n in variables if n.startswith("FACTORY_")})
        raise SourceError(
            f"variable {match[0]} is not set",
            where=text,
            remedy=f"set {name} in the environment; known variables: {', '.join(known)}",
        )

    return _VARIABLE.sub(value, text)


def expand_all(value: Any) -> Any:
    """Apply `expand` to every string in nested lists and maps."""
    match value:
        case str():
            return expand(value)
        case dict():
            return {key: expand_all(item) for key, item in value.items()}
        case list() | tuple():
            return [expand_all(item) for item in value]
        case _:
            return value


def find_files(patterns: Mapping[str, str] | tuple[str, ...], folder: Path) -> tuple[File, ...]:
    """Return the files that paths and globs match, pattern by pattern, sorted by name.

    A folder named by a pattern may be a link, since whoever declares it knows it. A file in it may
    be a link only to a file in the same folder: otherwise whoever may write there could expose
    other files, such as passwords. Globs leave out hidden files.

    Args:
        patterns: paths or globs, or a map from label to one of them.
        folder: the base of relative paths.

    Raises:
        SourceError: a pattern matches nothing, or something that is not a regular file in its
            folder.
    """
    pairs: list[tuple[str | None, str]] = (
        [(None, pattern) for pattern in patterns]
        if isinstance(patterns, tuple)
        else [*patterns.items()]
    )
    return tuple(
        File(path, _display(pattern, path, folder), label)
        for label, pattern in pairs
        for path in _matches(pattern, folder)
    )


def require_distinct(files: Iterable[File], where: str) -> None:
    """Require that no file is among them twice, by two patterns or by a link to another one.

    Raises:
        SourceError: a file is, so that its rows would be read twice.
    """
    require_distinct_names(((os.path.realpath(file.path), file.name) for file in files), where)


def require_distinct_names(names: Iterable[tuple[str, str]], where: str) -> None:
    """Require that no two names stand for the same bytes.

    Args:
        names: where the bytes really are, and the name for messages.
        where: the key that declares them, for messages.

    Raises:
        SourceError: two do.
    """
    seen: dict[str, str] = {}
    for real, name in names:
        if real in seen:
            raise SourceError(
                f"two patterns match {name}"
                if seen[real] == name
                else f"{seen[real]} and {name} are the same file",
                where=where,
                remedy="declare each file once, so that its rows are not read twice",
            )
        seen[real] = name


def _matches(pattern: str, folder: Path) -> list[Path]:
    full = folder / os.path.expanduser(expand(pattern))
    # If a file has exactly this name, its brackets are not a glob.
    if os.path.lexists(full) or not has_magic(str(full)):
        fixed, paths = full.parent, [full] if os.path.lexists(full) else []
    else:
        fixed, wild = split_glob(full)
        paths = glob_paths(fixed, wild)
    paths = [path for path in paths if not os.path.isdir(path)]
    if not paths:
        raise _no_match(pattern, full)
    for path in paths:
        if fault := fault_of(path, os.path.realpath(fixed)):
            raise SourceError(
                fault,
                where=_display(pattern, path, folder),
                remedy="rename it"
                if fault == _NOT_UTF8
                else "put the file itself there, or declare the path of the file itself",
            )
    return paths


def glob_paths(fixed: Path, wild: str) -> list[Path]:
    """Return what a glob below a folder matches but hidden files, sorted.

    Raises:
        SourceError: a folder in which it looks cannot be read; `Path.glob` would pass over it.
    """
    parts = Path(wild).parts
    searched = [fixed, *(one for n in range(1, len(parts)) for one in fixed.glob(_join(parts[:n])))]
    for folder in searched:
        is_passed_over = folder.name.startswith(".") or folder.name == "lost+found"
        if os.path.isdir(folder) and not is_passed_over and not os.access(folder, _SEARCH):
            raise _unsearched(folder, os.strerror(EACCES))
    return sorted(path for path in fixed.glob(wild) if not is_hidden(path.name, wild))


def _join(parts: Sequence[str]) -> str:
    return str(Path(*parts))


def _unsearched(folder: Path, why: str) -> SourceError:
    return SourceError(
        f"this folder cannot be searched for files ({why})",
        where=_home_hidden(str(folder)),
        remedy="change its rights, or name files elsewhere",
    )


def fault_of(path: Path, root: str) -> str | None:
    """Return why the path must not be read; None if it is a regular file below `root`."""
    try:
        str(path).encode()
        if not stat.S_ISREG(path.stat().st_mode):
            return "is not a regular file"
    except UnicodeEncodeError:
        return _NOT_UTF8
    except OSError as error:
        return "is a link that leads nowhere" if path.is_symlink() else f"cannot be read ({error})"
    inside = os.path.commonpath([root, os.path.realpath(path)]) == root
    return None if inside else "is a link that leads out of its folder"


def split_glob(path: Path) -> tuple[Path, str]:
    """Split before the first part with a wildcard, or before the last part if there is none.

    If there is a folder of exactly that name, its brackets are not a wildcard.
    """
    parts = path.parts

    def is_wild(i: int) -> bool:
        return has_magic(parts[i]) and not (
            {*parts[i]}.isdisjoint("*?") and os.path.isdir(Path(*parts[: i + 1]))
        )

    first = next((i for i in range(len(parts)) if is_wild(i)), len(parts) - 1)
    return Path(*parts[:first]), str(Path(*parts[first:]))


def is_hidden(name: str, pattern: str) -> bool:
    """Whether a name that a glob matches begins with a dot, although the name in the glob does not.

    Files that are still being written, and files that macOS adds, have such names. The sensor of
    arriving files does not wait for them.

    Args:
        name: of the file or object, without its folders.
        pattern: the glob, whose last part stands for the name.
    """
    return name.startswith(".") and not pattern.rpartition("/")[2].startswith(".")


def _no_match(pattern: str, full: Path) -> SourceError:
    if os.path.isdir(full):
        return SourceError(
            f"{pattern!r} is a folder",
            remedy=f"name its files, such as {pattern.rstrip('/')}/*.csv",
        )
    fixed = split_glob(full)[0]
    while not os.path.isdir(fixed):
        fixed = fixed.parent
    try:
        names = sorted(name + "/" * os.path.isdir(fixed / name) for name in os.listdir(fixed))
    except OSError as error:
        raise _unsearched(fixed, error.strerror or str(error)) from error
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return SourceError(
        f"no file matches {pattern!r}",
        remedy=f"the folder {_home_hidden(str(fixed))} holds {shown or 'nothing'}",
    )


def _display(pattern: str, path: Path, folder: Path) -> str:
    if not has_magic(pattern):
        return _home_hidden(pattern)
    fixed, _ = split_glob(Path(pattern))
    full = folder / os.path.expanduser(expand(pattern))
    # The folders that `**` stands for come in addition.
    more = len(path.parts) - len(full.parts)
    depth = len(split_glob(Path(expand(pattern)))[1].split(os.sep)) + more
    return _home_hidden(str(fixed.joinpath(*path.parts[-depth:])))


def _home_hidden(text: str) -> str:
    home = os.path.expanduser("~")
    return "~" + text[len(home) :] if text.startswith(home + os.sep) else text


def format_of(name: str, declared: Format | None = None) -> tuple[Format | None, Packing]:
    """Return the declared format, or else that of a file's name, and the name's packing.

    The format is None for a zip whose name does not show that of its member.

    Raises:
        SourceError: the name shows no format and none is declared.
    """
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    packing = _PACKINGS.get(suffixes[-1], "plain") if suffixes else "plain"
    if packing != "plain":
        suffixes.pop()
    kind = declared or (_FORMATS.get(suffixes[-1]) if suffixes else None)
    if kind is None and packing != "zip":
        known = "set source.format to csv, parquet, jsonl or arff"
        raise SourceError(
            "the name does not show the format",
            where=name,
            remedy=conversion(Path(name)) or known,
        )
    return kind, packing


def conversion(path: Path) -> str:
    """Return the advice how to convert a file to a format that is read; empty if there is none."""
    return _CONVERSIONS.get(path.suffix.lower(), "")


def sha256_of(path: Path, name: str) -> str:
    """Return the SHA-256 of the file's bytes, streamed.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: Exception) -> SourceError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return SourceError(
        f"cannot be read ({reason})", where=name, remedy="check the file and its permissions"
    )
