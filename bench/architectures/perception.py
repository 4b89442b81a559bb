"""Vision and speech models of the ``transformers`` library, in their published configurations, with random weights."""

from __future__ import annotations

import transformers
from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.settings import LABELS, attention
from bench.inputs import FULL_FRAMES, SMALL_FRAMES
from bench.spec import Size, Variant


class ImageClassifier(nn.Module):
    """Image in, logits out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(self, image: Tensor) -> Tensor:
        """Map float32 [N, 3, H, W] to float32 [N, num_classes]."""
        logits: Tensor = self.model(pixel_values=image).logits
        return logits


class SpeechEncoder(nn.Module):
    """Log-mel spectrogram in, the last hidden state out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Map float32 [N, mels, 2 T] to float32 [N, T, hidden]."""
        hidden: Tensor = self.model(features).last_hidden_state
        return hidden


def vit(variant: Variant) -> nn.Module:
    """Return ViT-B/16 (Dosovitskiy et al. 2020, arXiv 2010.11929)."""
    config = transformers.ViTConfig(
        hidden_size=variant.pick(128, 768),
        num_hidden_layers=variant.layers(2, 12),
        num_attention_heads=variant.pick(4, 12),
        intermediate_size=variant.pick(512, 3072),
        image_size=variant.pick(64, 224),
        patch_size=16,
        **LABELS,
        **attention(variant),
    )
    return ImageClassifier(transformers.ViTForImageClassification(config))


def swin(variant: Variant) -> nn.Module:
    """Return Swin-T (Liu et al. 2021, arXiv 2103.14030)."""
    is_small = variant.size is Size.SMALL
    config = transformers.SwinConfig(
        image_size=variant.pick(64, 224),
        patch_size=4,
        embed_dim=variant.pick(48, 96),
        depths=[2, 2] if is_small else [2, 2, 6, 2],
        num_heads=[3, 6] if is_small else [3, 6, 12, 24],
        window_size=variant.pick(4, 7),
        **LABELS,
        **attention(variant),
    )
    return ImageClassifier(transformers.SwinForImageClassification(config))


def convnext(variant: Variant) -> nn.Module:
    """Return ConvNeXt-T (Liu et al. 2022, arXiv 2201.03545)."""
    is_small = variant.size is Size.SMALL
    config = transformers.ConvNextConfig(
        image_size=variant.pick(64, 224),
        hidden_sizes=[32, 64] if is_small else [96, 192, 384, 768],
        depths=[1, 1] if is_small else [3, 3, 9, 3],
        num_stages=2 if is_small else 4,
        **LABELS,
    )
    return ImageClassifier(transformers.ConvNextForImageClassification(config))


def whisper_encoder(variant: Variant) -> nn.Module:
    """Return the encoder of Whisper tiny (Radford et al. 2022, arXiv 2212.04356)."""
    config = transformers.WhisperConfig(
        d_model=variant.pick(128, 384),
        encoder_layers=variant.layers(2, 4),
        encoder_attention_heads=variant.pick(4, 6),
        encoder_ffn_dim=variant.pick(512, 1536),
        max_source_positions=variant.pick(SMALL_FRAMES, FULL_FRAMES),
        decoder_layers=1,
        decoder_attention_heads=variant.pick(4, 6),
        **attention(variant),
    )
    return SpeechEncoder(transformers.WhisperModel(config).get_encoder())
