"""Export a small torch model, optimise it, and run both: ``python examples/optimise_torch_export.py``.

Needs torch and onnxscript, which torch's exporter uses.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

import eqsat


class Attention(torch.nn.Module):
    """Self-attention as it is often written by hand: three products, a scale, a softmax."""

    def __init__(self, width: int = 256, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = torch.nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (torch.nn.Linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` (batch, time, width) with what attention adds to it."""
        batch, time, width = x.shape
        y = self.norm(x)
        q, k, v = (
            each(y).reshape(batch, time, self.heads, width // self.heads).transpose(1, 2)
            for each in (self.query, self.key, self.value)
        )
        weights = torch.softmax(q @ k.transpose(2, 3) / (width // self.heads) ** 0.5, dim=-1)
        return x + self.out((weights @ v).transpose(1, 2).reshape(batch, time, width))


def main() -> None:
    """Print what became of the model."""
    parser = argparse.ArgumentParser(description="Optimise a torch export.")
    parser.add_argument("--seconds", type=float, default=60.0, help="time budget")
    seconds = parser.parse_args().seconds
    torch.manual_seed(0)
    x = torch.randn(1, 128, 256)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "attention.onnx"
        torch.onnx.export(
            torch.nn.Sequential(Attention(), Attention()).eval(),
            (x,),
            path,
            input_names=["x"],
            dynamo=True,
            verbose=False,
            external_data=False,
        )
        result = eqsat.optimize(path, threads=1, budget=eqsat.Budget(time_s=seconds))
        print(result.report)
        optimised = path.with_suffix(".opt.onnx")
        result.save(optimised)
        feeds = {"x": x.numpy()}
        before, after = (eqsat.load(each, threads=1).run(None, feeds)[0] for each in (path, optimised))
        print(f"largest difference: {np.abs(before - after).max():.2g}")


if __name__ == "__main__":
    main()
