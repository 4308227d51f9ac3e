# Do models that `espalier export --to onnx` writes load in onnxruntime and give the engine's logits? For each case: onnx's full
# check and strict shape inference; the prompt at once, token by token through the cache, and with a longer one in a batch
# padded on the left, against `espalier logits` in f32; of quantized ones codes and scales against numpy (those of models that
# were quantized already against what they stand for), and logits against the engine with the dequantized weights. onnxruntime's defaults round activations to 8 bits in front of quantized weights:
# the bounds hold for what keeps them in f32, what the defaults give is told beside it. Writes test/fixtures/onnx/logits.json; exits with 1 beyond a bound.
#   python test/oracles/onnx_logits.py [MORE_MODELS ...]
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, onnx 1.23.2, onnxruntime 1.31.1, ml_dtypes 0.6.0, numpy 2.4.6
import hashlib
import json
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "test" / "fixtures"
BOUNDS = {"f32": 1e-4, "f16": 2e-2, "bf16": 1e-1, "quantized": 1e-3}  # of the largest |logit|
CACHE_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(bfloat16)": ml_dtypes.bfloat16}
DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}


def espalier(*arguments):
    command = ["node", ROOT / "dist" / "cli" / "main.js", *map(str, arguments), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def engine_logits(model, ids):
    return np.array(espalier("logits", model, "--ids", ",".join(map(str, ids)), "--all", "--context", "64")["logits"], np.float32)


def read_safetensors(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        values = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]]).astype(np.float32)
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def write_model(directory, config, tensors):
    directory.mkdir()
    header, offset = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    bodies = [values.astype(np.float32).tobytes() for values in tensors.values()]
    (directory / "model.safetensors").write_bytes(b"".join([len(text).to_bytes(8, "little"), text, *bodies]))
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def spread(tensor, count):
    """float64 in [-0.5, 0.5), by integer hashing; test/src/export/onnx/pruned-shape.ts has the same."""
    x = (np.arange(1, count + 1, dtype=np.uint32) * np.uint32(0x9E3779B1)) ^ np.uint32((tensor + 1) * 0x85EBCA6B % 2**32)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0xC2B2AE35)
    return (x ^ (x >> np.uint32(13))) / 2.0**32 - 0.5


def pruned_shape(directory):
    """head_dim is not hidden_size / heads, and there are all biases."""
    hidden, ffn, heads, kv_heads, head_dim, vocab = 96, 160, 6, 2, 32, 101
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocab, "hidden_size": hidden,
        "intermediate_size": ffn, "num_hidden_layers": 2, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "head_dim": head_dim, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False,
    }  # fmt: skip
    shapes = {"model.embed_tokens.weight": [vocab, hidden]}
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        matrices = {
            "self_attn.q_proj": [heads * head_dim, hidden], "self_attn.k_proj": [kv_heads * head_dim, hidden],
            "self_attn.v_proj": [kv_heads * head_dim, hidden], "self_attn.o_proj": [hidden, heads * head_dim],
            "mlp.gate_proj": [ffn, hidden], "mlp.up_proj": [ffn, hidden], "mlp.down_proj": [hidden, ffn],
        }  # fmt: skip
        for norm in ["input_layernorm", "post_attention_layernorm"]:
            shapes[f"{prefix}{norm}.weight"] = [hidden]
        for name, shape in matrices.items():
            shapes[f"{prefix}{name}.weight"] = shape
            shapes[f"{prefix}{name}.bias"] = shape[:1]
    shapes |= {"model.norm.weight": [hidden], "lm_head.weight": [vocab, hidden]}
    tensors = {}
    for index, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        values = spread(index, int(np.prod(shape)))
        values = values * 5.0 / shape[1] ** 0.5 if len(shape) == 2 else values * 0.25 + (1.0 if "norm" in name else 0.0)
        tensors[name] = values.astype(np.float32).reshape(shape)
    return write_model(directory, config, tensors)


def feeds_of(session, ids, mask, positions, past):
    feeds = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    for given in session.get_inputs():
        if given.name.startswith("past_key_values."):
            dtype = CACHE_DTYPES[given.type]
            empty = np.zeros([len(ids), given.shape[1], 0, given.shape[3]], dtype)
            feeds[given.name] = past.get(given.name.replace("past_key_values", "present"), empty)
    return feeds


def run(session, ids, mask, positions, past=None):
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, feeds_of(session, *map(np.int64, [ids, mask, positions]), past or {}))
    outputs = dict(zip(names, values, strict=True))
    return outputs.pop("logits"), outputs


def prefill(session, ids):
    return run(session, [ids], np.ones([1, len(ids)]), [np.arange(len(ids))])[0][0]


def token_by_token(session, ids):
    """Two tokens at once, then one at a time."""
    logits, past = run(session, [ids[:2]], np.ones([1, 2]), [[0, 1]])
    rows = [*logits[0]]
    for place in range(2, len(ids)):
        logits, past = run(session, [[ids[place]]], np.ones([1, place + 1]), [[place]], past)
        rows.append(logits[0, 0])
    return np.array(rows)


def padded(session, short, long):
    """Logits of both, out of one batch; the last token of each in a second step."""
    pad = len(long) - len(short)
    mask = np.array([[0] * pad + [1] * len(short), [1] * len(long)])
    ids = np.array([[0] * pad + short, long])
    positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
    head, past = run(session, ids[:, :-1], mask[:, :-1], positions[:, :-1])
    tail, _ = run(session, ids[:, -1:], mask, positions[:, -1:], past)
    both = np.concatenate([head, tail], axis=1)
    return both[0, pad:], both[1]


def quantized_by_numpy(weight, kind, group_size, dtype):
    """codes [in, out], scales (rounded to dtype) and dequantized [out, in] of a weight [out, in]."""
    groups = weight.reshape(len(weight), -1, group_size or weight.shape[1])
    divisor = np.float32({"int8": 127.5, "fp8": 448, "int4": 7.5}[kind])
    scales = (np.abs(groups).max(axis=2) / divisor).astype(DTYPES[dtype.upper()]).astype(np.float32)
    scales[scales == 0] = np.finfo(np.float32).eps
    scaled = groups / scales[..., None]
    if kind == "fp8":
        codes = np.clip(scaled, -448, 448).astype(ml_dtypes.float8_e4m3fn)
    else:
        codes = np.rint(np.clip(scaled, *((-128, 127) if kind == "int8" else (-8, 7)))).astype(np.int8)
    back = (codes.astype(np.float32) * scales[..., None]).reshape(weight.shape)
    stored = scales.T if group_size else scales[:, 0]
    return codes.reshape(weight.shape).T, stored, back


def check_quantized(model, tensors, kind, group_size, dtype):
    """Compares what is stored with numpy's; returns the weights that it stands for."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    back = dict(tensors)
    for name in [name.removesuffix("_quantized") for name in stored if name.endswith("_quantized")]:
        codes, scales, back[name] = quantized_by_numpy(tensors[name], kind, group_size, dtype)
        found = stored[f"{name}_quantized"].astype(np.float32)
        assert np.array_equal(found, codes.astype(np.float32)), f"{name}: codes"
        assert np.array_equal(stored[f"{name}_scale"].astype(np.float32), scales), f"{name}: scales"
    return back


def check_stored(model, tensors):
    """What DequantizeLinear makes of a quantized model's codes is what the model stands for, to the bit; how many are stored."""
    stored = {tensor.name: numpy_helper.to_array(tensor).astype(np.float32) for tensor in model.graph.initializer}
    names = [name.removesuffix("_quantized") for name in stored if name.endswith("_quantized")]
    for name in names:
        codes, scales = stored[f"{name}_quantized"], stored[f"{name}_scale"]
        zeros = stored.get(f"{name}_zero_point", np.zeros_like(scales))
        if scales.ndim == 2:
            node = next(node for node in model.graph.node if f"{name}_quantized" in node.input)
            size = next(a.i for a in node.attribute if a.name == "block_size")
            scales, zeros = (np.repeat(values, size, axis=0)[: len(codes)] for values in [scales, zeros])
        assert np.array_equal(((codes - zeros) * scales).T, tensors[name]), f"{name}: not the model's weights"
    return len(names)


def digest(model):
    """Of what the model computes: nodes, inputs, outputs, initializers and their bytes."""
    lines = []
    for node in model.graph.node:
        given = {2: lambda a: str(a.i), 7: lambda a: ",".join(map(str, a.ints))}
        attributes = ";".join(sorted(f"{a.name}={given[a.type](a)}" for a in node.attribute))
        lines.append("|".join([node.op_type, ",".join(node.input), ",".join(node.output), attributes]))
    for value in [*model.graph.input, *model.graph.output]:
        dims = ",".join(d.dim_param or str(d.dim_value) for d in value.type.tensor_type.shape.dim)
        lines.append(f"{value.name}|{value.type.tensor_type.elem_type}|{dims}")
    for tensor in model.graph.initializer:
        data = hashlib.sha256(tensor.raw_data).hexdigest()
        lines.append(f"{tensor.name}|{tensor.data_type}|{','.join(map(str, tensor.dims))}|{data}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def session_of(directory, exact):
    options = onnxruntime.SessionOptions()
    if exact:
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    return onnxruntime.InferenceSession(directory / "model.onnx", options)


class BfloatSession:
    """onnx's reference evaluator in the place of a session."""

    def __init__(self, directory):
        self.evaluator = ReferenceEvaluator(str(directory / "model.onnx"))
        graph = onnx.load(directory / "model.onnx", load_external_data=False).graph
        shape = lambda value: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]  # noqa: E731
        type_of = {onnx.TensorProto.BFLOAT16: "tensor(bfloat16)", onnx.TensorProto.INT64: "tensor(int64)"}
        Value = namedtuple("Value", "name type shape")
        self.inputs = [Value(v.name, type_of[v.type.tensor_type.elem_type], shape(v)) for v in graph.input]
        self.outputs = [Value(v.name, None, shape(v)) for v in graph.output]

    def get_inputs(self):
        return self.inputs

    def get_outputs(self):
        return self.outputs

    def run(self, names, feeds):
        return self.evaluator.run(names, feeds)


def check_model(directory):
    onnx.checker.check_model(directory / "model.onnx", full_check=True)
    model = onnx.load(directory / "model.onnx")
    inferred = onnx.shape_inference.infer_shapes(onnx.load(directory / "model.onnx"), strict_mode=True, data_prop=True)
    known = {value.name for value in inferred.graph.value_info}
    unknown = [name for node in model.graph.node for name in node.output if name not in known]
    outputs = [value.name for value in model.graph.output]
    assert sorted(unknown) == sorted(outputs), f"shapes not inferred: {unknown}"
    assert {(entry.domain, entry.version) for entry in model.opset_import} == {("", 21)}
    return model


def ids_of(config, length):
    """Any tokens, the same every time."""
    rng = np.random.default_rng(length)
    return rng.integers(0, config["vocab_size"], length).tolist()


def check_case(name, source, options, root, scheme=None):
    """scheme: flags of `espalier quantize` that are applied first."""
    if scheme is not None:
        quantized = root / f"quantized-{len(list(root.iterdir()))}"
        espalier("quantize", source, *scheme.split(), "--out", quantized)
        source = quantized
    out = root / f"onnx-{len(list(root.iterdir()))}"
    flags = [text for key, value in options.items() for text in ([f"--{key}"] if value is True else [f"--{key}", value])]
    report = espalier("export", source, "--to", "onnx", "--out", out, *flags)
    model = check_model(out)
    config = json.loads((out / "config.json").read_text())
    kind = options.get("quantize")
    dtype = options.get("dtype", "f32")
    result = {"model": name, **({} if scheme is None else {"scheme": scheme}), "options": options, "externalData": report["externalData"], "digest": digest(model)}
    reference = source
    coded = "quantization_config" in json.loads((source / "config.json").read_text())
    if kind is not None or coded:
        reference = plain = root / f"hf-{out.name}"
        espalier("export", source, "--out", plain)
        tensors = read_safetensors(plain / "model.safetensors")
    if coded:
        result["stored"] = check_stored(model, tensors) if dtype == "f32" else None
        result["dequantized"] = len(report["dequantized"])
        assert result["stored"] != 0 or report["dequantized"]
    elif kind is not None:
        back = check_quantized(model, tensors, kind, int(options.get("group-size", 0)), dtype)
        plain_config = json.loads((plain / "config.json").read_text())
        if options.get("include-head") and plain_config["tie_word_embeddings"]:  # then only the head is quantized
            embedding = "model.embed_tokens.weight"
            back |= {"lm_head.weight": back[embedding], embedding: tensors[embedding]}
            plain_config["tie_word_embeddings"] = False
        reference = write_model(root / f"back-{out.name}", plain_config, back)
    if dtype == "bf16":
        if name != "pruned shape":
            return {**result, "note": "checked, not run: onnxruntime has no bf16 on the CPU, onnx's own evaluator is slow"}
        ids = ids_of(config, 21)
        expected = engine_logits(reference, ids)
        worst = float(np.abs(prefill(BfloatSession(out), ids) - expected).max() / np.abs(expected).max())
        assert worst <= BOUNDS["bf16"], f"{name} {options}: {worst}"
        return {**result, "differences": {"atOnceInOnnxReference": f"{worst:.1e}"}}
    session = session_of(out, exact=True)
    beyond = "dynamic-beyond" in name  # there a token's angles depend on how many come with it
    short, long = ids_of(config, 9), ids_of(config, 30 if beyond else 21)
    expected = [engine_logits(reference, ids) for ids in [short, long]]
    largest = max(float(np.abs(rows).max()) for rows in expected)
    distance = lambda rows, others: float(np.abs(rows - others).max()) / largest  # noqa: E731
    worst = {"atOnce": distance(prefill(session, long), expected[1])}
    if not beyond:
        worst["tokenByToken"] = distance(token_by_token(session, long), expected[1])
        worst["paddedBatch"] = max(map(distance, padded(session, short, long), expected))
    if kind is not None or result.get("stored"):
        result["byDefault"] = f"{distance(prefill(session_of(out, exact=False), long), expected[1]):.1e}"
    bound = BOUNDS["quantized" if (kind is not None or coded) and dtype == "f32" else dtype]
    assert all(value <= bound for value in worst.values()), f"{name} {options}: {worst} beyond {bound}"
    return {**result, "largestLogit": round(largest, 3), "differences": {key: f"{value:.1e}" for key, value in worst.items()}}


def cases(root, more):
    tiny = sorted((FIXTURES / "tiny-llama").iterdir())
    for directory in tiny:
        yield f"tiny-llama/{directory.name}", directory, {}
    pruned = pruned_shape(root / "pruned-shape")
    teacher = ROOT / "models" / "teacher"
    for name, model, group in [("pruned shape", pruned, "32"), ("models/teacher", teacher, "128"), *more]:
        yield name, model, {}
        yield name, model, {"external-data": True, "quantize": "int8"}
        yield name, model, {"quantize": "fp8"}
        yield name, model, {"quantize": "int4", "group-size": group}
        yield name, model, {"quantize": "int4", "group-size": group, "include-head": True}
        yield name, model, {"quantize": "int8", "include-head": True, "dtype": "f16"}
        yield name, model, {"dtype": "f16"}
        yield name, model, {"dtype": "f16", "quantize": "int4", "group-size": group}
        yield name, model, {"dtype": "bf16"}
        yield name, model, {"dtype": "bf16", "quantize": "int8"}
    for kind in ["int8", "fp8"]:
        yield "tiny-llama/bias-v5", FIXTURES / "tiny-llama" / "bias-v5", {"quantize": kind}
    for directory in sorted((FIXTURES / "quantized").iterdir()):
        if directory.name != "source":
            yield f"quantized/{directory.name}", directory, {}
    for scheme in ["w4a16 --group-size 32 --asymmetric", "w8a16", "w8a16 --group-size 32 --asymmetric", "fp8", "nf4"]:
        yield "pruned shape", pruned, {}, f"--scheme {scheme}"
    yield "pruned shape", pruned, {"dtype": "f16"}, "--scheme w4a16 --group-size 32 --asymmetric"
    yield "models/teacher", teacher, {}, "--scheme w4a16 --group-size 64 --asymmetric"
    yield "models/teacher", teacher, {}, "--scheme w8a16"
    yield "pruned shape", pruned, {}, "--scheme w8a16 --include lm_head"
    yield "models/teacher", teacher, {}, "--scheme w8a16 --include model.embed_tokens"


def main():
    more = [(Path(path).name, Path(path), "64") for path in sys.argv[1:]]
    results = []
    with tempfile.TemporaryDirectory() as root:
        for case in cases(Path(root), more):
            name, source, options, *scheme = case
            results.append(check_case(name, source, options, Path(root), *scheme))
            print(json.dumps(results[-1]), flush=True)
    versions = f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}"
    fixture = {"madeBy": f"test/oracles/onnx_logits.py with {versions}", "bounds": BOUNDS, "cases": results}
    target = FIXTURES / "onnx" / "logits.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(fixture, indent=1) + "\n")


main()
