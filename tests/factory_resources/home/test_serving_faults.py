"""What a server could not load is known as long as that server lives."""

import multiprocessing

from factory_resources.home.garbage import left_behind
from factory_resources.home.home import Home
from factory_resources.home.serving_faults import (
    forget_serving_faults,
    serving_faults,
    write_serving_faults,
)


def test_the_faults_of_running_servers_are_told(home: Home) -> None:
    assert serving_faults(home) == {}
    write_serving_faults(home, {"p": "its graph was changed"})
    assert serving_faults(home) == {"p": "its graph was changed"}
    assert not [*left_behind(home)]
    forget_serving_faults(home)
    forget_serving_faults(home)
    assert serving_faults(home) == {}


def test_the_faults_of_a_server_that_was_killed_are_garbage(home: Home) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=write_serving_faults, args=(home, {"p": "its graph was changed"})
    )
    process.start()
    process.join()
    assert serving_faults(home) == {}
    assert [one.kind for one in left_behind(home)] == ["scratch"]
