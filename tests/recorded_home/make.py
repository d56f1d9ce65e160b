"""Create the recorded home; run `python -m tests.recorded_home.make` in a clone of the commit.

Three small pipelines run in a new home. The home, their declarations and the output of some
commands are packed into `home.tar.xz`; `test_recorded_home.py` compares the output of later code
with it. Record again only if the format of a home changes on purpose, and then keep the former
archive beside the new one.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.pipelines import APPLES, declare, write_apples

ARCHIVE = Path(__file__).with_name("home.tar.xz")
QUESTIONS: dict[str, tuple[str, ...]] = {
    "trace_version": ("trace", "apples@1", "--json"),
    "trace_champion": ("trace", "pears@champion", "--json"),
    "trace_row": ("trace", "apples/clean", "--row", "3", "--json"),
    "trace_source": ("trace", "defs/pears/data.csv", "--json"),
    "predict_linear": ("predict", "apples", "new.csv"),
    "predict_trees": ("predict", "pears", "new.csv"),
    "predict_network": ("predict", "nets", "new.csv"),
    "reproduce_first": ("reproduce", "apples@1", "--json"),
    "reproduce_trees": ("reproduce", "pears@1", "--json"),
    "reproduce_network": ("reproduce", "nets@1", "--json"),
}
NEW_ROWS = "size,colour\n0.3,red\n5.5,green\n-1,red\n,green\n"
_MODELS: dict[str, dict[str, Any]] = {
    "apples": {"kind": "linear"},
    "pears": {"kind": "gradient_boosting", "iterations": 10},
    "nets": {"kind": "mlp", "hidden": [8], "epochs": 3},
}


def ask(root: Path, *question: str) -> subprocess.CompletedProcess[str]:
    """Run `factory` in the home and with the declarations below `root`."""
    environment = {**os.environ, "FACTORY_HOME": str(root / "home")}
    environment["FACTORY_DEFS"] = str(root / "defs")
    # The number of threads is part of some models.
    environment.pop("OMP_NUM_THREADS", None)
    return subprocess.run(
        [sys.executable, "-c", _MAIN, *question],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


# Finds the command by its entry point, whose name is the same in every version of the code.
_MAIN = (
    "import sys; from importlib.metadata import entry_points as e\n"
    "[command] = e(group='console_scripts', name='factory'); sys.exit(command.load()())"
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "recorded"
        root.mkdir()
        for name, model in _MODELS.items():
            _declare(root, name, model)
        _require(root, "run", *_MODELS)
        # Ten more rows make a second version of the first pipeline's model.
        write_apples(root / "defs" / "apples", rows=130)
        _require(root, "run", "apples")
        (root / "new.csv").write_text(NEW_ROWS)
        answers = {name: _require(root, *question) for name, question in QUESTIONS.items()}
        (root / "answers.json").write_text(json.dumps(answers, indent=1))
        (root / "root.txt").write_text(str(root))
        with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
            archive.add(root, arcname=".", filter=_plain)
    sys.stderr.write(f"{ARCHIVE}: {ARCHIVE.stat().st_size} bytes\n")


def _declare(root: Path, name: str, model: dict[str, Any]) -> None:
    folder = root / "defs" / name
    folder.mkdir(parents=True)
    write_apples(folder, rows=120)
    declare(folder, {**APPLES, "train": {"target": "label", "model": model, "seed": 4}})


def _require(root: Path, *question: str) -> str:
    done = ask(root, *question)
    if done.returncode:
        raise SystemExit(f"{question}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def unpack(folder: Path) -> None:
    """Unpack the recorded home and what it was asked; the first Python 3.11 has no filter."""
    filtered: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, **filtered)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
