"""One training by several processes, each with its share of every batch, on a device of its own.

A stage is a function, not a script that Lightning could start again: the processes are started
here, and Lightning finds itself among them. Imports torch, hence only inside functions.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import multiprocessing

from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.models.base import FitContext
from factory_assets.ml.models.networks.lightning.callbacks import BestEpochCallback
from factory_assets.results.model import Epoch
from factory_resources.errors import FactoryError, ModelError

Train = Callable[[FitContext, LabelledArrays, LabelledArrays], BestEpochCallback]

ADDRESS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")

STATE = "best.pt"


def devices_of(setting: FitContext) -> int:
    """How many devices of this machine share the training.

    Raises:
        ModelError: when the declared accelerator is not there.
    """
    trainer = setting.trainer
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(trainer.accelerator, True):
        raise ModelError(
            f"this machine has no {trainer.accelerator} that PyTorch can use",
            remedy="set train.trainer.accelerator to auto or cpu",
        )
    if isinstance(trainer.devices, tuple):
        return len(trainer.devices)
    if trainer.devices == "auto":
        return max(1, torch.cuda.device_count() if trainer.accelerator != "cpu" else 0)
    return trainer.devices


def train_together(
    train: Train, setting: FitContext, rows: LabelledArrays, held: LabelledArrays
) -> BestEpochCallback:
    """Run `train` in a process a device; what the first of them returns.

    Raises:
        FactoryError: what any of them raised.
    """
    count = devices_of(setting)
    surroundings = _surroundings(setting, count)
    told = multiprocessing.get_context("spawn").SimpleQueue()
    ranks = count * setting.trainer.nodes
    # Each holds the rows in its own memory.
    shared = replace(setting, ranks=ranks, progress=_silent, watch=None, mapped=None)
    work = (train, shared, rows, held, surroundings, told)
    start: Any = multiprocessing.start_processes  # type: ignore[attr-defined]
    running = start(_one, work, nprocs=count, join=False, start_method="spawn")
    with _ended(running):
        while not running.join(timeout=0.2):
            _relay(told, setting)
        _relay(told, setting)
    best = BestEpochCallback(1, setting.progress)
    best.load_state_dict(torch.load(setting.scratch / STATE, weights_only=True))
    return best


def _one(
    index: int,
    train: Train,
    setting: FitContext,
    rows: LabelledArrays,
    held: LabelledArrays,
    surroundings: dict[str, str],
    told: Any,
) -> None:
    """What each process does."""
    from factory_assets.ml.models.networks.lightning.logs import quiet

    rank = int(surroundings["GROUP_RANK"]) * int(surroundings["LOCAL_WORLD_SIZE"]) + index
    os.environ |= {**surroundings, "LOCAL_RANK": str(index), "RANK": str(rank)}
    own = replace(setting, rank=rank)
    if not index:
        own = replace(own, progress=told.put, watch=told.put)
    try:
        with quiet():
            best = train(own, rows, held)
    except FactoryError as error:
        told.put((type(error), error.what, error.where, error.remedy))
        return
    if not index:
        torch.save(best.state_dict(), setting.scratch / STATE)


def _relay(told: Any, setting: FitContext) -> None:
    while not told.empty():
        match told.get():
            case str(text):
                setting.progress(text)
            case Epoch() as epoch:
                if setting.watch:
                    setting.watch(epoch)
            case kind, what, where, remedy:
                raise kind(what, where=where, remedy=remedy)


@contextmanager
def _ended(running: Any) -> Iterator[None]:
    """None goes on without the others, which would wait for it for ever."""
    try:
        yield
    finally:
        for process in running.processes:
            process.kill()
            process.join()


def _surroundings(setting: FitContext, count: int) -> dict[str, str]:
    """What Lightning reads to find itself among the processes."""
    nodes = setting.trainer.nodes
    common = {
        "WORLD_SIZE": str(count * nodes),
        "LOCAL_WORLD_SIZE": str(count),
        "TORCHELASTIC_RUN_ID": "factory",
    }
    if nodes == 1:
        port = str(_free_port())
        # Nothing leaves the machine.
        alone = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
        return {**common, **alone, "GROUP_RANK": "0"}
    if missing := [name for name in ADDRESS if name not in os.environ]:
        raise ModelError(
            f"{nodes} nodes are declared, and {', '.join(missing)} is not set",
            remedy=f"set {', '.join(ADDRESS)} on every node, or train.trainer.nodes to 1",
        )
    address, port, node = (os.environ[name] for name in ADDRESS)
    return {**common, "MASTER_ADDR": address, "MASTER_PORT": port, "GROUP_RANK": node}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _silent(_: str) -> None:
    pass
