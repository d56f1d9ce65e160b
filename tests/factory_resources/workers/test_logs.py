"""The output of the newest runs is kept."""

import os

from factory_resources.home.home import Home
from factory_resources.workers.logs import KEPT, open_log, run_log_file


def test_the_newest_files_are_kept(home: Home) -> None:
    for number in range(KEPT + 5):
        with open_log(home, str(number)) as log:
            log.write(b"a line\n")
        os.utime(run_log_file(home, str(number)), (number, number))
    with open_log(home, "last") as log:
        log.write(b"a line\n")
    left = {path.stem for path in run_log_file(home, "").parent.iterdir()}
    assert left == {"last", *map(str, range(6, KEPT + 5))}


def test_a_second_start_of_a_run_appends(home: Home) -> None:
    for line in (b"one\n", b"two\n"):
        with open_log(home, "a") as log:
            log.write(line)
    assert run_log_file(home, "a").read_text() == "one\ntwo\n"
