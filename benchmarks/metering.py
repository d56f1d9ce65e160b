"""CPU that metering adds to the metered work: the same training with and without it."""

import time
from contextlib import nullcontext

from benchmarks.measure import Result
from factory_resources.metering.meter import Meter, Rates

SHARE = 0.01
ROUNDS = 15
ROWS, EPOCHS = 4_000, 12


def run() -> list[Result]:
    _train()
    plain, metered = [], []
    for _ in range(ROUNDS):
        # They alternate, so that other load hits both.
        plain.append(_cpu(metered=False))
        metered.append(_cpu(metered=True))
    # The smallest: other load of the machine can only add time.
    share = min(metered) / min(plain) - 1
    return [
        Result(
            f"metering a training of {min(plain):.2f} CPU s",
            f"CPU {100 * share:+.2f} %",
            f"<= {100 * SHARE:g} %",
            share <= SHARE,
        )
    ]


def _cpu(*, metered: bool) -> float:
    before = time.process_time()
    with Meter(Rates()) if metered else nullcontext() as meter:
        _train()
        if meter:
            meter.read()
    return time.process_time() - before


def _train() -> None:
    """Train a small network on one thread: about the shortest training that occurs."""
    import torch

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(ROWS, 16, generator=generator)
    target = inputs[:, :1] * inputs[:, 1:2]
    net = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.GELU(), torch.nn.Linear(64, 1))
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(EPOCHS):
        for batch, truth in zip(inputs.split(64), target.split(64), strict=True):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(batch), truth).backward()
            optimizer.step()


if __name__ == "__main__":
    for result in run():
        print(result.name, result.measured, sep=": ")
