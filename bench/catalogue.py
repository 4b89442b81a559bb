"""The table of benchmark models. Nothing heavy is imported until a model is built."""

from __future__ import annotations

from functools import partial

from bench import inputs, light
from bench.spec import InputSpec, ModelClass, ModelSpec, Variant

WORDPIECE = 30522
"""Ids in the vocabulary of BERT and its relatives."""

INCEPTION_SIDE = 299


def light_input(variant: Variant, *, name: str) -> tuple[InputSpec, ...]:
    """Return the image that a file of the onnx package reads; these files have one variant only."""
    del variant
    name_in_file, shape = light.input_of(name)
    return (InputSpec(name=name_in_file, shape=shape),)


def light_model(name: str, model_class: ModelClass, summary: str) -> ModelSpec:
    """Return the row of a model that ships with the onnx package."""
    return ModelSpec(name=name, model_class=model_class, summary=summary, inputs=partial(light_input, name=name))


def transformer(
    name: str,
    summary: str,
    architecture: str,
    model_inputs: partial[tuple[InputSpec, ...]],
    *,
    peer_type: str = "",
    has_layers: bool = True,
    has_math_attention: bool = False,
) -> ModelSpec:
    """Return the row of a transformer."""
    return ModelSpec(
        name=name,
        model_class=ModelClass.TRANSFORMER,
        summary=summary,
        inputs=model_inputs,
        architecture=architecture,
        has_layers=has_layers,
        has_math_attention=has_math_attention,
        peer_type=peer_type,
    )


def cnn(
    name: str, model_class: ModelClass, summary: str, architecture: str, *, small: int = 64, full: int = 224
) -> ModelSpec:
    """Return the row of a convolutional network; ``small`` and ``full`` are the sides of its images."""
    sides = partial(inputs.image, small=small, full=full)
    return ModelSpec(name=name, model_class=model_class, summary=summary, inputs=sides, architecture=architecture)


def held_out(
    name: str,
    summary: str,
    model_inputs: partial[tuple[InputSpec, ...]],
    *,
    peer_type: str = "",
    has_layers: bool = True,
    module: str = "held_out",
) -> ModelSpec:
    """Return the row of a model that no rule was written for."""
    return ModelSpec(
        name=name,
        model_class=ModelClass.HELD_OUT,
        summary=summary,
        inputs=model_inputs,
        architecture=f"{module}:{name.replace('-', '_')}",
        has_layers=has_layers,
        peer_type=peer_type,
    )


PLAIN_TEXT = partial(inputs.text, num_ids=WORDPIECE)
SEGMENTED_TEXT = partial(inputs.text, num_ids=WORDPIECE, num_segments=2)
OTHER_TEXT = partial(inputs.text, num_ids=30000)
IMAGE = partial(inputs.image)
GROUPED, LEGACY, OTHER = ModelClass.GROUPED_CONV, ModelClass.LEGACY_NORM, ModelClass.OTHER_CNN

MODELS: tuple[ModelSpec, ...] = (
    transformer("bert", "BERT-base, uncased", "language:bert", SEGMENTED_TEXT, peer_type="bert"),
    transformer("distilbert", "DistilBERT-base", "language:distilbert", PLAIN_TEXT, peer_type="bert"),
    transformer(
        "albert",
        "ALBERT-base v2",
        "language:albert",
        partial(inputs.text, num_ids=30000, num_segments=2),
        peer_type="bert",
    ),
    transformer("gpt2", "GPT-2 124M with head", "language:gpt2", partial(inputs.text, num_ids=50257), peer_type="gpt2"),
    transformer("llama", "Llama, size of SmolLM-135M", "language:llama", partial(inputs.text, num_ids=49152)),
    transformer(
        "t5-encoder",
        "encoder of T5-small",
        "language:t5_encoder",
        partial(inputs.text, num_ids=32128),
        peer_type="t5",
        has_math_attention=True,
    ),
    transformer(
        "whisper-encoder",
        "encoder of Whisper tiny",
        "perception:whisper_encoder",
        partial(inputs.spectrogram),
        peer_type="bart",
    ),
    transformer(
        "transformer-transducer",
        "audio encoder of the Transformer Transducer, 4 of its 18 blocks",
        "transducer:transformer_transducer",
        partial(inputs.stacked_frames),
    ),
    transformer("dalle", "decoder of DALL-E, 6 blocks of 512", "dalle:dalle", partial(inputs.text_and_image)),
    transformer("vit", "ViT-B/16", "perception:vit", IMAGE, peer_type="vit"),
    transformer(
        "swin", "Swin-T", "perception:swin", IMAGE, peer_type="swin", has_layers=False, has_math_attention=True
    ),
    transformer("convnext", "ConvNeXt-T", "perception:convnext", IMAGE, has_layers=False),
    transformer("squeezebert", "SqueezeBERT", "language:squeezebert", SEGMENTED_TEXT, peer_type="bert"),
    cnn("resnext50", GROUPED, "ResNeXt-50 32x4d", "resnet:resnext50"),
    cnn("resnext50-split", GROUPED, "ResNeXt-50 32x4d, 32 split convolutions", "resnet:resnext50_split"),
    cnn("regnet", GROUPED, "RegNetY-400MF", "regnet:regnet_y_400mf"),
    cnn("regnet-x", GROUPED, "RegNetX-400MF", "regnet:regnet_x_400mf"),
    light_model("light_shufflenet", GROUPED, "ShuffleNet v1, Caffe2"),
    light_model("light_bvlc_alexnet", LEGACY, "AlexNet with LRN, Caffe"),
    light_model("light_inception_v1", LEGACY, "GoogLeNet with LRN, Caffe"),
    light_model("light_zfnet512", LEGACY, "ZFNet-512 with LRN, Caffe2"),
    light_model("light_densenet121", LEGACY, "DenseNet-121, batch norm and scale apart, Caffe"),
    light_model("light_inception_v2", LEGACY, "Inception v2, batch norm and scale apart, Caffe"),
    light_model("light_resnet50", OTHER, "ResNet-50, Caffe2"),
    light_model("light_squeezenet", OTHER, "SqueezeNet 1.0, Caffe2"),
    light_model("light_vgg19", OTHER, "VGG-19, Caffe"),
    cnn("resnet18", OTHER, "ResNet-18", "resnet:resnet18"),
    cnn("resnet50", OTHER, "ResNet-50 v1.5", "resnet:resnet50"),
    cnn("resnet101", OTHER, "ResNet-101 v1.5", "resnet:resnet101"),
    cnn("inception-v3", OTHER, "Inception v3", "inception:inception_v3", small=96, full=INCEPTION_SIDE),
    cnn("googlenet", OTHER, "GoogLeNet with batch norm", "googlenet:googlenet"),
    cnn("squeezenet", OTHER, "SqueezeNet 1.1", "squeezenet:squeezenet"),
    cnn("mobilenet-v2", OTHER, "MobileNet v2", "mobilenet:mobilenet_v2"),
    cnn("efficientnet-b0", OTHER, "EfficientNet-B0", "efficientnet:efficientnet_b0"),
    ModelSpec(
        name="nasrnn",
        model_class=ModelClass.RECURRENT,
        summary="the NAS cell of Zoph and Le, 5 steps of 512",
        inputs=inputs.recurrence,
        architecture="nasrnn:nasrnn",
    ),
    held_out("roberta", "RoBERTa, 6 layers of 384", OTHER_TEXT, peer_type="bert"),
    held_out("electra", "ELECTRA, 6 layers of 384", OTHER_TEXT, peer_type="bert"),
    held_out("deberta", "DeBERTa v3, 6 layers of 384", OTHER_TEXT),
    held_out("mpnet", "MPNet, 6 layers of 384", OTHER_TEXT, peer_type="bert"),
    held_out("qwen2", "Qwen2, 6 layers of 384, grouped queries", OTHER_TEXT),
    held_out("gemma", "Gemma, 6 layers of 384, grouped queries", OTHER_TEXT),
    held_out("phi", "Phi, 6 layers of 384", OTHER_TEXT, peer_type="phi"),
    held_out("gpt-neox", "GPT-NeoX, 6 layers of 384", OTHER_TEXT, peer_type="gpt_neox"),
    held_out("mistral", "Mistral, 6 layers of 384, grouped queries", OTHER_TEXT, module="decoders"),
    held_out("qwen3", "Qwen3, 6 layers of 384, grouped queries", OTHER_TEXT, module="decoders"),
    held_out("olmo2", "OLMo 2, 6 layers of 384, grouped queries", OTHER_TEXT, module="decoders"),
    held_out("granite", "Granite 3, 6 layers of 384, grouped queries", OTHER_TEXT, module="decoders"),
    held_out("gemma2", "Gemma 2, 6 layers of 384, grouped queries", OTHER_TEXT, module="decoders"),
    held_out("cohere", "Command R, 6 layers of 384, grouped queries", OTHER_TEXT, module="decoders"),
    held_out("phi3", "Phi-3, 6 layers of 384, grouped queries", OTHER_TEXT, module="decoders"),
    held_out("stablelm", "StableLM 2, 6 layers of 384, grouped queries", OTHER_TEXT, module="decoders"),
    held_out("beit", "BEiT, 6 layers of 384", IMAGE, peer_type="vit"),
    held_out("dinov2", "DINOv2, 6 layers of 384", IMAGE, peer_type="vit"),
    held_out("clip-vision", "the image side of CLIP, 6 layers of 384", IMAGE, peer_type="clip"),
    held_out("segformer", "encoder of SegFormer-B0", IMAGE, has_layers=False),
    held_out("poolformer", "PoolFormer-S12", IMAGE, has_layers=False),
    held_out("mobilevit", "MobileViT-S", IMAGE, has_layers=False),
    held_out("convnext-v2", "ConvNeXt v2, width 48", IMAGE, has_layers=False),
    held_out("levit", "LeViT-128S", partial(inputs.image, small=224), has_layers=False),
    held_out("wav2vec2", "wav2vec 2.0, 6 layers of 384", partial(inputs.wave), peer_type="bert"),
)
