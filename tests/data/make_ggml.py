"""Writes a whisper.cpp file from a CTranslate2 directory: the tests' source of real GGML weights.

Run: python tests/data/make_ggml.py MODEL_DIRECTORY OUT_DIRECTORY [f32 f16 q4_0 q4_1 q5_0 q5_1 q8_0]

Makes OUT_DIRECTORY/ggml-NAME-KIND.bin for every kind (f16, q5_0, q5_1 and q8_0 when none is named). Needs numpy.
The layout is that of whisper.cpp's `models/convert-pt-to-ggml.py`, the quantisers follow the definitions of ggml's
`quantize_row_*_ref`; nothing here is shared with Violet's reader.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8}
#: What the header says of the whole file; quantised ones carry version 2 in the thousands.
FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2002, "q4_1": 2003, "q8_0": 2007, "q5_0": 2008, "q5_1": 2009}
#: Always stored in f32.
POSITIONS = ("encoder.positional_embedding", "decoder.positional_embedding")


def read_ctranslate2(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """The variables of a `model.bin`."""
    data = path.read_bytes()
    at = 0

    def take(layout: str) -> tuple[int, ...]:
        nonlocal at
        values = struct.unpack_from(layout, data, at)
        at += struct.calcsize(layout)
        return values

    def text() -> str:
        nonlocal at
        (n,) = take("<H")
        at += n
        return data[at - n : at - 1].decode()

    take("<I")
    text()
    take("<I")
    variables = {}
    (n_variables,) = take("<I")
    for _ in range(n_variables):
        name = text()
        (rank,) = take("<B")
        shape = take(f"<{rank}I")
        dtype, n_bytes = take("<BI")
        variables[name] = np.frombuffer(data, DTYPES[dtype], n_bytes // np.dtype(DTYPES[dtype]).itemsize, at)
        variables[name] = variables[name].reshape(shape)
        at += n_bytes
    return variables


def openai_tensors(variables: dict[str, npt.NDArray[np.generic]]) -> dict[str, Array]:
    """The same weights under OpenAI's names, fused projections taken apart."""
    tensors: dict[str, Array] = {}

    def put(name: str, *source: str, part: int = 0, parts: int = 1) -> None:
        value = variables["/".join(source)].astype(np.float32)
        rows = len(value) // parts
        tensors[name] = value[part * rows : (part + 1) * rows]

    for side, last in (("encoder", "ln_post"), ("decoder", "ln")):
        put(f"{side}.positional_embedding", side, "position_encodings", "encodings")
        for new, old in (("weight", "gamma"), ("bias", "beta")):
            put(f"{side}.{last}.{new}", side, "layer_norm", old)
        n_layers = sum(name.startswith(side) and name.endswith("ffn/layer_norm/beta") for name in variables)
        for index in range(n_layers):
            layer, block = f"{side}/layer_{index}", f"{side}.blocks.{index}"
            norms = [("attn_ln", "self_attention"), ("mlp_ln", "ffn")]
            norms += [("cross_attn_ln", "attention")] if side == "decoder" else []
            for new, old in norms:
                put(f"{block}.{new}.weight", layer, old, "layer_norm", "gamma")
                put(f"{block}.{new}.bias", layer, old, "layer_norm", "beta")
            for kind in ("weight", "bias"):
                put(f"{block}.mlp.0.{kind}", layer, "ffn/linear_0", kind)
                put(f"{block}.mlp.2.{kind}", layer, "ffn/linear_1", kind)
                put(f"{block}.attn.out.{kind}", layer, "self_attention/linear_1", kind)
                for part, name in enumerate(("query", "key", "value")):
                    if (name, kind) != ("key", "bias"):
                        put(f"{block}.attn.{name}.{kind}", layer, "self_attention/linear_0", kind, part=part, parts=3)
                if side == "decoder":
                    put(f"{block}.cross_attn.query.{kind}", layer, "attention/linear_0", kind)
                    put(f"{block}.cross_attn.out.{kind}", layer, "attention/linear_2", kind)
                    put(f"{block}.cross_attn.value.{kind}", layer, "attention/linear_1", kind, part=1, parts=2)
            if side == "decoder":
                put(f"{block}.cross_attn.key.weight", layer, "attention/linear_1/weight", part=0, parts=2)
    for name in ("conv1", "conv2"):
        put(f"encoder.{name}.weight", "encoder", name, "weight")
        put(f"encoder.{name}.bias", "encoder", name, "bias")
    put("decoder.token_embedding.weight", "decoder", "embeddings", "weight")
    return tensors


def quantise(values: Array, kind: str) -> bytes:
    """Blocks of 32: their scale, in some kinds the smallest value, fifth bits, and halves of bytes."""
    blocks = values.reshape(-1, 32)
    rows = np.arange(len(blocks))
    if kind == "q8_0":
        scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
        q = np.rint(blocks * inverse(scale)).astype(np.int8)
        return np.hstack([as_bytes(scale), q.view(np.uint8)]).tobytes()
    top = 31 if kind.startswith("q5") else 15
    if kind.endswith("_0"):
        extreme = blocks[rows, np.abs(blocks).argmax(1)][:, None]
        scale = extreme / np.float32(-(top + 1) // 2)
        q = blocks * inverse(scale) + np.float32((top + 1) / 2 + 0.5)
        head = [as_bytes(scale)]
    else:
        least = blocks.min(1, keepdims=True)
        scale = (blocks.max(1, keepdims=True) - least) / np.float32(top)
        q = (blocks - least) * inverse(scale) + np.float32(0.5)
        head = [as_bytes(scale), as_bytes(least)]
    q = np.clip(q, 0, top).astype(np.uint32)
    if top == 31:
        fifth = (q >> 4 << np.arange(32, dtype=np.uint32)).sum(1, dtype=np.uint32)
        head.append(fifth[:, None].view(np.uint8))
    halves = (q[:, :16] & 15 | (q[:, 16:] & 15) << 4).astype(np.uint8)
    return np.hstack([*head, halves]).tobytes()


def inverse(scale: Array) -> Array:
    """1 / scale, and 0 for 0."""
    return np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)


def as_bytes(column: Array) -> npt.NDArray[np.uint8]:
    """A column in f16."""
    return column.astype(np.float16).view(np.uint8)


def text_tokens(path: Path) -> list[bytes]:
    """The bytes of the text tokens of a `tokenizer.json`, by id."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocab: dict[str, int] = tokenizer["model"]["vocab"]
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    byte_of = {chr(byte): byte for byte in printable}
    hidden = [byte for byte in range(256) if byte not in printable]
    byte_of |= {chr(256 + index): byte for index, byte in enumerate(hidden)}
    end_of_text = special.get("<|endoftext|>", vocab.get("<|endoftext|>", len(vocab)))
    by_id = {index: token for token, index in vocab.items()}
    tokens = [bytes(byte_of[c] for c in by_id.get(index, "")) for index in range(end_of_text)]
    # The published English files have the end of the text among the texts.
    return [*tokens, b"<|endoftext|>"] if end_of_text == 50_256 else tokens


def mel_filters(n_mels: int) -> Array:
    """Slaney's triangles for 400-point spectra at 16 kHz. Source: librosa 0.11 `filters.mel`."""
    step, log_step, knee = 200 / 3, np.log(6.4) / 27, 1000.0

    def to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(mel < knee / step, mel * step, knee * np.exp(log_step * (mel - knee / step)))

    edges = to_hz(np.linspace(0, knee / step + np.log(8000 / knee) / log_step, n_mels + 2))
    slopes = edges[:, None] - np.linspace(0, 8000, 201)
    widths = np.diff(edges)[:, None]
    triangles = np.maximum(0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def write_ggml(path: Path, tensors: dict[str, Array], tokens: list[bytes], heads: int, kind: str) -> None:
    """One file in whisper.cpp's format."""
    embedding, conv1 = tensors["decoder.token_embedding.weight"], tensors["encoder.conv1.weight"]
    n_vocab, width = embedding.shape
    n_layers = [len({n.split(".")[2] for n in tensors if n.startswith(f"{s}.blocks.")}) for s in ("encoder", "decoder")]
    n_audio_ctx, n_text_ctx = (len(tensors[name]) for name in POSITIONS)
    sizes = (n_vocab, n_audio_ctx, width, heads, n_layers[0], n_text_ctx, width, heads, n_layers[1], conv1.shape[1])
    filters = mel_filters(conv1.shape[1])
    with path.open("wb") as file:
        file.write(struct.pack("<12i", 0x67676D6C, *sizes, FILE_TYPES[kind]))
        file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        file.write(struct.pack("<i", len(tokens)))
        for token in tokens:
            file.write(struct.pack("<i", len(token)) + token)
        for name, tensor in tensors.items():
            is_column = name.startswith("encoder.conv") and name.endswith(".bias")
            shape = (len(tensor), 1) if is_column else tensor.shape
            if kind == "f32" or len(shape) < 2 or is_column or name in POSITIONS:
                stored, body = "f32", tensor.astype(np.float32).tobytes()
            elif kind == "f16" or len(shape) != 2:
                stored, body = "f16", tensor.astype(np.float16).tobytes()
            else:
                stored, body = kind, quantise(np.ascontiguousarray(tensor), kind)
            encoded = name.encode()
            file.write(struct.pack(f"<{3 + len(shape)}i", len(shape), len(encoded), TYPES[stored], *reversed(shape)))
            file.write(encoded + body)


def main() -> None:
    """Convert."""
    source, target, *kinds = sys.argv[1:]
    directory, out = Path(source), Path(target)
    tensors = openai_tensors(read_ctranslate2(directory / "model.bin"))
    tokens = text_tokens(directory / "tokenizer.json")
    heads = tensors["decoder.token_embedding.weight"].shape[1] // 64
    out.mkdir(parents=True, exist_ok=True)
    for kind in kinds or ("f16", "q5_0", "q5_1", "q8_0"):
        path = out / f"ggml-{directory.name}-{kind}.bin"
        write_ggml(path, tensors, tokens, heads, kind)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
