"""Measures what beliefs of prices begin with: ``python -m bench.kernels [--models NAMES] [--json FILE]``.

The e-graphs of some exports are grown and priced, and some prices of each kernel, far apart in size, are written to the
package, see :mod:`eqsat.prices.reference`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from bench.documents import ONNX_RUNTIMES, write_results
from bench.learners import add_flags, exported_task
from bench.models import UnknownModelError, UnsupportedVariantError
from bench.repricing import grown
from eqsat.egraph.session import Session
from eqsat.errors import EqsatError
from eqsat.prices import reference
from eqsat.prices.beliefs import KERNEL_VERSION, Kernel
from eqsat.prices.micro import MicroMaker
from eqsat.prices.problem import lay_out
from eqsat.runtime.settings import CPU_PROVIDER
from rl.comparison.command import say
from rl.comparison.ledger import Ledger
from rl.env.device import Device
from rl.families.regimes import Regime

TARGET: Final = Path(reference.__file__).with_name(reference.DATA)

MODELS: Final = (
    *("llama-2l", "whisper-encoder-2l", "transformer-transducer", "dalle", "swin", "convnext"),
    *("poolformer", "nasrnn", "resnet18", "mobilenet-v2", "efficientnet-b0", "regnet"),
)
"""None of them is a model on which it is compared what measuring less comes to."""

MOST: Final = 12
"""Prices of one kernel, at most."""


def spread_out(prices: Iterable[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Return some of the prices of a kernel by size: the smallest, the largest, and others that are far apart.

    Args:
        prices: Roofline and price, both in microseconds.
        most: How many, at most; at least 2.
    """
    sizes = {size: price_us for size, price_us in sorted(prices) if math.isfinite(price_us)}
    while len(sizes) > most:
        before, after = min(pairwise(sorted(sizes)), key=lambda pair: pair[1] / pair[0])
        del sizes[before if after == max(sizes) else after]
    return sorted(sizes.items())


def measured(name: str, size: str, device: Device) -> list[tuple[Kernel, float]]:
    """Return all prices of the e-graph of a model, in microseconds, and what they are of.

    Args:
        name: Name of the model.
        size: ``small`` or ``full``.
        device: Measures.

    Raises:
        UnknownModelError: No model has that name.
        UnsupportedVariantError: The model cannot be exported in that form.
    """
    task, book = exported_task(name, size, device, Regime.ALL)
    session = grown(Session(task.graph, task.rules))
    maker = MicroMaker(session, task.sizes)
    Ledger(book).price(session, lay_out(session, maker, task.provider).wanted(), maker)
    return list(book.described().values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.kernels", description=__doc__)
    add_flags(parser, MODELS)
    parser.set_defaults(json=TARGET)
    given = parser.parse_args(arguments)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        with Device(given.database, threads=given.threads) as device:
            for name in given.models:
                for kernel, price_us in measured(name, given.size, device):
                    found[kernel.name].append((kernel.roofline_us, price_us))
                say(f"{name}: {sum(map(len, found.values()))} prices of {len(found)} kernels")
            notes = {"device": device.name, "provider": CPU_PROVIDER, "threads": given.threads, "models": given.models}
    except (EqsatError, UnknownModelError, UnsupportedVariantError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    kernels = {
        name: [[round(size, 3), round(price_us, 3)] for size, price_us in spread_out(prices, MOST)]
        for name, prices in sorted(found.items())
    }
    document = {**notes, "version": KERNEL_VERSION, "kernels": {name: each for name, each in kernels.items() if each}}
    write_results(given.json, document, *ONNX_RUNTIMES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
