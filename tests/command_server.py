"""Run commands of `factory` in processes that have imported already what commands import.

`python -m tests.command_server SOCKET` imports it, and forks for each command that `command_client`
asks for. The command gets arguments, environment, folder and open files of whoever asks. Of 7 s of
CPU that a run takes which computes a small model, 5 s go into imports.

Every process has the same order of sets, no command misses an import, and what was imported stays
to the end: what is about any of these starts commands as a person does.
"""

import atexit
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from factory_resources.security.offline import go_offline


class _Server:
    """Forks for each command, until standard input ends."""

    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        # Whoever finds the path may connect.
        self._listener.bind(f"{path}.new")
        self._listener.listen()
        os.rename(f"{path}.new", path)
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._clients: dict[int, socket.socket] = {}
        """By the number of the process of the command that a client waits for."""

    def serve(self) -> list[str] | None:
        """Return the arguments of a command in its process; None in that of the server."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno())
        with selectors.DefaultSelector() as selector:
            for file in (self._listener, self._woken, sys.stdin):
                selector.register(file, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if sys.stdin in ready:
                    return None
                if self._woken in ready:
                    self._woken.recv(1024)
                    self._report_ended()
                if self._listener in ready and (arguments := self._fork()) is not None:
                    return arguments

    def _fork(self) -> list[str] | None:
        client, _ = self._listener.accept()
        _, files, _, _ = socket.recv_fds(client, 1, 3)
        with client.makefile("rb") as sent:
            request = sent.read()
        if not request:
            # It was killed before it could ask.
            client.close()
            return None
        arguments, environment, folder = json.loads(request)
        process = os.fork()
        if process:
            self._clients[process] = client
            _send_number(client, process)
        else:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for own in (self._listener, self._woken, self._wake, client, *self._clients.values()):
                own.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
            os.chdir(folder)
            sys.path[0] = folder
            os.environ.clear()
            os.environ.update(environment)
        for file in files:
            os.close(file)
        return None if process else arguments

    def _report_ended(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with self._clients.pop(ended[0]) as client:
                    _send_number(client, os.waitstatus_to_exitcode(ended[1]))


def _send_number(client: socket.socket, number: int) -> None:
    """Send a number to a client, unless that was killed."""
    with suppress(BrokenPipeError):
        client.sendall(b"%d\n" % number)


def main() -> None:
    """Import all, serve, and run a command in the process that was forked for it."""
    go_offline()
    importlib.import_module("tests.forked_modules")
    arguments = _Server(sys.argv[1]).serve()
    if arguments is not None:
        from factory_assets.cli.main import main as factory

        try:
            factory(arguments, prog_name="factory")
        except SystemExit as ended:
            if not isinstance(ended.code, int):
                raise
            _end(ended.code)


def _end(code: int) -> NoReturn:
    """End this process as Python does, but leave all modules as they are.

    To clear them copies the memory that was forked, .3 s of the .5 s of CPU of a short command.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
