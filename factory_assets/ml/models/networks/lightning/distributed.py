"""One training in several processes, each with a device of its own and a share of every batch.

A stage is a function, not a script that Lightning could run again, so this module starts the
processes, and environment variables tell Lightning which of them it is in. What each process trains
belongs in `trainer.py`. This module imports torch, so import it only inside functions.
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
from torch.multiprocessing.spawn import ProcessExitedException

from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.models.base import FitContext
from factory_assets.ml.models.networks.lightning.callbacks import BestEpochCallback
from factory_assets.results.training import Epoch
from factory_resources.errors import FactoryError, ModelError

Train = Callable[[FitContext, LabelledArrays, LabelledArrays], BestEpochCallback]

ADDRESS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")

STATE = "best.pt"


def device_count(context: FitContext) -> int:
    """Return how many devices of this machine share the training.

    Raises:
        ModelError: this machine does not have the declared accelerator, or a GPU of that number.
    """
    trainer = context.trainer
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(trainer.accelerator, True):
        raise ModelError(
            f"this machine has no {trainer.accelerator} that PyTorch can use",
            remedy="set train.trainer.accelerator to auto or cpu",
        )
    here = torch.cuda.device_count() or int(available["mps"])
    gpus = here if trainer.accelerator != "cpu" else 0
    if isinstance(trainer.devices, tuple):
        if missing := [number for number in trainer.devices if number not in range(gpus)]:
            raise ModelError(
                f"there is no GPU {missing[0]} here: {gpus} can be used",
                where="train.trainer.devices",
                remedy="list numbers of GPUs, from 0 on; or give how many devices, such as 1",
            )
        return len(trainer.devices)
    return max(1, gpus) if trainer.devices == "auto" else trainer.devices


def train_distributed(
    train: Train, context: FitContext, rows: LabelledArrays, validation: LabelledArrays
) -> BestEpochCallback:
    """Run `train` in one process per device, and return the result of the first.

    Raises:
        FactoryError: a process raised it, or was killed.
    """
    count = device_count(context)
    environment = _environment(context, count)
    messages = multiprocessing.get_context("spawn").SimpleQueue()
    ranks = count * context.trainer.nodes
    # Mapped files are not shared: each process has the rows in its own memory.
    shared = replace(context, ranks=ranks, progress=_silent, watch=None, mapped=None)
    arguments = (train, shared, rows, validation, environment, messages)
    start: Any = multiprocessing.start_processes  # type: ignore[attr-defined]
    running = start(_run_process, arguments, nprocs=count, join=False, start_method="spawn")
    with _killed_on_exit(running), _kills_reported():
        while not running.join(timeout=0.2):
            _relay(messages, context)
        _relay(messages, context)
    best = BestEpochCallback(1, context.progress)
    best.load_state_dict(torch.load(context.scratch / STATE, weights_only=True))
    return best


def _run_process(
    index: int,
    train: Train,
    context: FitContext,
    rows: LabelledArrays,
    validation: LabelledArrays,
    environment: dict[str, str],
    messages: Any,
) -> None:
    """Train in process number `index` of this machine; send messages and errors to the parent."""
    from factory_assets.ml.models.networks.lightning.logs import silenced

    rank = int(environment["GROUP_RANK"]) * int(environment["LOCAL_WORLD_SIZE"]) + index
    os.environ |= {**environment, "LOCAL_RANK": str(index), "RANK": str(rank)}
    process_context = replace(context, rank=rank)
    if not index:
        process_context = replace(process_context, progress=messages.put, watch=messages.put)
    try:
        with silenced():
            best = train(process_context, rows, validation)
    except FactoryError as error:
        messages.put((type(error), error.what, error.where, error.remedy))
        return
    if not index:
        torch.save(best.state_dict(), context.scratch / STATE)


def _relay(messages: Any, context: FitContext) -> None:
    """Report the progress and epochs of the first process; raise the error of any process."""
    while not messages.empty():
        match messages.get():
            case str(text):
                context.progress(text)
            case Epoch() as epoch:
                if context.watch:
                    context.watch(epoch)
            case kind, what, where, remedy:
                raise kind(what, where=where, remedy=remedy)


@contextmanager
def _killed_on_exit(running: Any) -> Iterator[None]:
    """Kill all processes at the end: if one failed, the others would wait for it forever."""
    try:
        yield
    finally:
        for process in running.processes:
            process.kill()
            process.join()


@contextmanager
def _kills_reported() -> Iterator[None]:
    """Report a process that somebody killed, as the system does if there is too little memory."""
    try:
        yield
    except ProcessExitedException as error:
        if error.signal_name is None:
            raise
        raise ModelError(
            f"a process of the training was killed ({error.signal_name})",
            remedy="run again, and it goes on from its last checkpoint; if memory was short, "
            "choose a smaller batch_size or fewer devices",
        ) from error


def _environment(context: FitContext, count: int) -> dict[str, str]:
    """Return the environment variables that tell Lightning its place among the processes."""
    nodes = context.trainer.nodes
    common = {
        "WORLD_SIZE": str(count * nodes),
        "LOCAL_WORLD_SIZE": str(count),
        "TORCHELASTIC_RUN_ID": "factory",
    }
    if nodes == 1:
        port = str(_free_port())
        # The loopback interface keeps all traffic on this machine.
        sockets = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
        local = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **sockets}
        return {**common, **local, "GROUP_RANK": "0"}
    if missing := [name for name in ADDRESS if name not in os.environ]:
        raise ModelError(
            f"{nodes} nodes are declared, but {', '.join(missing)} is not set",
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
