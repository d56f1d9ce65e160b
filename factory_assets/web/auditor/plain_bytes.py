"""Write the plain bytes of a packed file to standard output; run as a process of its own.

    python -m factory_assets.web.auditor.plain_bytes FILE

What unpacks zst files is Arrow, which the process of the pages does without. Who reads the bytes,
and how many, belongs in `packed_sources`.
"""

import os
import shutil
import sys


def main(path: str) -> None:
    """Write the bytes of a zst file, as long as somebody reads them."""
    import pyarrow

    try:
        with pyarrow.input_stream(path, compression="zstd") as packed:
            shutil.copyfileobj(packed, sys.stdout.buffer, 1 << 20)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Nobody reads on: the lines were found. Python would complain when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main(sys.argv[1])
