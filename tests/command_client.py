"""Ask a server of commands, which is in `command_server`, to run a command of `factory`.

As a script it is `factory` for shells. It imports little, so that it starts at once.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence


def run_command(
    server: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    files: Sequence[int],
    timeout: float | None = None,
) -> int:
    """Run a command, wait for it, and return its exit code, negative if a signal has ended it.

    Args:
        server: the socket of the server.
        files: descriptors of its standard input, output and error.
        timeout: seconds after which it is killed.

    Raises:
        TimeoutError: it was killed.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(server)
        socket.send_fds(connection, [b"\n"], files)
        connection.sendall(json.dumps([[*arguments], {**environment}, folder]).encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile() as replies:
            process = int(replies.readline())
            connection.settimeout(timeout)
            try:
                return int(replies.readline())
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise


if __name__ == "__main__":
    sys.exit(run_command(sys.argv[1], sys.argv[2:], os.environ, os.getcwd(), (0, 1, 2)))
