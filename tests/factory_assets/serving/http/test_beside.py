"""Answers of the champion that a shadow is to compute too."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from factory_assets.serving.http.beside import AnswersBeside
from factory_assets.serving.http.call import Call
from factory_assets.serving.http.metrics import Metrics
from factory_assets.serving.online.served_model import ServedModel
from tests.factory_assets.serving.http.cases import call_of
from tests.factory_assets.serving.http.test_served_rollout import rollout

pytestmark = pytest.mark.slow


def test_large_requests_do_not_pile_up_while_a_shadow_is_slow(served: ServedModel) -> None:
    go_on, metrics, read = Event(), Metrics(), list[int]()
    trial = rollout(served, share=0, mode="shadow")

    async def answer(_: Call) -> Any:
        return b"", {}

    def slow(call: Call) -> Any:
        go_on.wait(20)
        read.append(len(call.body))
        raise ValueError

    async def ask() -> None:
        unused: Any = None
        beside = AnswersBeside(answer, unused, unused, unused, metrics, slow, thread)
        for _ in range(40):
            await beside.answer(trial, call_of(served, b" " * (1 << 20)))
            await asyncio.sleep(0)
        go_on.set()
        while beside._waiting:
            await asyncio.sleep(0.01)

    with ThreadPoolExecutor(1) as thread:
        asyncio.run(ask())
    assert 10 <= len(read) <= 17
    text = metrics.text(queue=0, served={}, watts=1.0, may=lambda _: True).decode()
    dropped = 'factory_shadows_total{pipeline="p",result="dropped"}'
    assert f"{dropped} {40 - len(read)}.0" in text
