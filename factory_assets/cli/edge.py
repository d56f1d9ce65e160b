"""`factory pack` and `factory ingest-log`: a model that scores elsewhere, and what it brings home.

The pack itself belongs in `factory_assets.serving.edge`.
"""

import shlex
from pathlib import Path

from factory_assets.serving.edge.logged_answers import PROGRAM
from factory_assets.serving.edge.pack import write_pack
from factory_assets.serving.edge.receive import receive_log
from factory_resources.durations import minute
from factory_resources.home.home import Home


def pack_text(pipeline: str, folder: Path) -> str:
    """Write the pack and return the text for the terminal.

    Raises:
        FactoryError: there is no champion, it cannot be packed, or the folder cannot be written.
    """
    pack = write_pack(pipeline, folder, Home.from_env())
    return (
        f"{pack.pipeline}@{pack.version} packed in {folder}, {pack.bytes / 1e6:.2f} MB "
        f"(pack {pack.identity[:12]})\n"
        f"  there: pip install onnxruntime numpy; python {PROGRAM} rows.jsonl\n"
        f"  home:  factory ingest-log {shlex.quote(str(folder))}\n"
    )


def ingest_log_text(folder: Path) -> tuple[str, bool]:
    """Bring a log home; return the text for the terminal, and whether anything is wrong with it.

    Raises:
        FactoryError: the pack is foreign, or cannot be read.
    """
    received = receive_log(folder, Home.from_env())
    pack = received.pack
    new = f"{received.answers:,} new answers, {received.proven:,} in all"
    if received.known:
        new = f"nothing new since {minute(received.known.time)} UTC"
    lines = [f"{pack.pipeline}@{pack.version}, pack {pack.pack[:12]}: {new}"]
    lines += [f"  wrong: {finding}" for finding in received.findings]
    lines += [f"  note:  {note}" for note in received.notes]
    return "\n".join(lines) + "\n", bool(received.findings)
