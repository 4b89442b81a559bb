"""What a benchmark model is: its name, its class, how it is built and what it is fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ModelClass(StrEnum):
    """The classes that results are reported by: gains differ more between them than within them."""

    TRANSFORMER = "transformers and ConvNeXt"
    GROUPED_CONV = "grouped convolutions"
    LEGACY_NORM = "legacy LRN or Caffe2 batch norm"
    OTHER_CNN = "other CNNs"
    RECURRENT = "recurrent"
    HELD_OUT = "held out: no rule was written for them"


class Size(StrEnum):
    """How much of the published model is built.

    ``SMALL`` has few, narrow layers and exports in seconds; ``FULL`` is the published configuration.
    """

    SMALL = "small"
    FULL = "full"


class Attention(StrEnum):
    """Which implementation of attention the exporter sees."""

    SDPA = "sdpa"
    EAGER = "eager"


class Content(StrEnum):
    """What an input holds, hence how it is sampled."""

    NORMAL = "normal"
    TOKENS = "tokens"
    MASK = "mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One input of a model.

    Attributes:
        name: The name of the graph input.
        shape: Its static shape.
        content: What it holds: float32 normal noise, int64 token ids, or an int64 0/1 mask padded on the right.
        num_ids: For tokens, how many ids there are.
        dynamic: The dimensions that a dynamic export leaves open, with the names they get.
    """

    name: str
    shape: tuple[int, ...]
    content: Content = Content.NORMAL
    num_ids: int = 0
    dynamic: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Which form of a model is built.

    Attributes:
        size: How much of it.
        num_layers: Blocks of a transformer; 0 for as many as the size has.
        attention: Which implementation of attention.
    """

    size: Size = Size.FULL
    num_layers: int = 0
    attention: Attention = Attention.SDPA

    def pick(self, small: int, full: int) -> int:
        """Return the number that belongs to the size."""
        return small if self.size is Size.SMALL else full

    def layers(self, small: int, full: int) -> int:
        """Return the number of blocks: the one asked for, or the one that belongs to the size."""
        return self.num_layers or self.pick(small, full)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One benchmark model.

    Attributes:
        name: What ``python -m bench.models`` knows it by.
        model_class: The class its results are reported under.
        summary: The published configuration behind ``Size.FULL``.
        inputs: The inputs of a variant.
        architecture: ``module:function`` below ``bench.architectures``, which makes the module of a variant, weights
            not yet drawn; empty for a model that the onnx package ships as a file.
        has_layers: True where ``NAME-4l`` builds it with 4 blocks.
        has_math_attention: True where the exporter cannot decompose the fused attention kernel, so the plain one is
            traced.
        peer_type: The type under which ``onnxruntime.transformers.optimizer`` knows the model; empty for none.
    """

    name: str
    model_class: ModelClass
    summary: str
    inputs: Callable[[Variant], tuple[InputSpec, ...]]
    architecture: str = ""
    has_layers: bool = False
    has_math_attention: bool = False
    peer_type: str = ""
