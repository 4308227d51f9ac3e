# Makes tiny checkpoints with compressed-tensors itself under test/fixtures/quantized (scales by calculate_qparams, codes,
# packing and config.json by the library, dequantized weights by its decompression), and checks that espalier's own
# quantize writes the same tensors and that the library turns them into what espalier reads.
#   python test/oracles/compressed_tensors_checkpoints.py            writes the fixtures
#   python test/oracles/compressed_tensors_checkpoints.py --check    compares `espalier quantize` with them
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, compressed-tensors 0.20.0
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import compressed_tensors
import torch
from compressed_tensors.compressors import BaseCompressor, ModelCompressor
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
from compressed_tensors.quantization.lifecycle.forward import dequantize
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from quantized_fixture import FIXTURES, IDS, linears, tiny_config, tiny_weights, write_fixture, write_model
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

MADE_BY = f"test/oracles/compressed_tensors_checkpoints.py, compressed-tensors {compressed_tensors.__version__}"
MAIN = Path(__file__).parents[2] / "dist" / "cli" / "main.js"


def args(bits, type_="int", strategy="channel", **more):
    return dict(num_bits=bits, type=type_, strategy=strategy, symmetric=more.pop("symmetric", True), **more)


PER_TOKEN = {"int": args(8, "int", "token", dynamic=True), "float": args(8, "float", "token", dynamic=True)}
STATIC = {"int": args(8, "int", "tensor", dynamic=False), "float": args(8, "float", "tensor", dynamic=False)}
U8, E4M3 = dict(scale_dtype="torch.uint8"), dict(scale_dtype="torch.float8_e4m3fn")
# name -> config groups (weights, activations, format of the files, targets), and what espalier's quantize is told for
# the same (None: it does not write it).
MODELS = {
    "int8-channel": ([(args(8), PER_TOKEN["int"], "int-quantized")], ["w8a8"]),
    "int8-asym-tensor": ([(args(8, strategy="tensor", symmetric=False), None, "int-quantized")], None),
    "fp8-channel": ([(args(8, "float"), PER_TOKEN["float"], "float-quantized")], ["fp8-dynamic"]),
    "int8-static": ([(args(8), STATIC["int"], "int-quantized")], None),
    "fp8-static": ([(args(8, "float", "tensor"), STATIC["float"], "float-quantized")], None),
    "fp8-block": ([(args(8, "float", "block", block_structure=[16, 32]), None, "float-quantized")], None),
    "int4-g32": ([(args(4, strategy="group", group_size=32), None, "pack-quantized")], ["w4a16", "--group-size", "32"]),
    "int4-g64-asym": (
        [(args(4, strategy="group", group_size=64, symmetric=False), None, "pack-quantized")],
        ["w4a16", "--group-size", "64", "--asymmetric"],
    ),
    "int4-channel": ([(args(4), None, "pack-quantized")], None),
    "int8-g32-asym": (
        [(args(8, strategy="group", group_size=32, symmetric=False), None, "pack-quantized")],
        ["w8a16", "--group-size", "32", "--asymmetric"],
    ),
    "nvfp4": ([(args(4, "float", "tensor_group", group_size=16, **E4M3), None, "nvfp4-pack-quantized")], ["nvfp4"]),
    "mxfp4": ([(args(4, "float", "group", group_size=32, **U8), None, "mxfp4-pack-quantized")], ["mxfp4"]),
    "mxfp8": ([(args(8, "float", "group", group_size=32, **U8), None, "mxfp8-quantized")], ["mxfp8"]),
    "mixed": (
        [
            (args(4, strategy="group", group_size=32), None, "pack-quantized", ["re:.*self_attn.*"]),
            (args(8, "float"), None, "naive-quantized", ["re:.*mlp.*"]),
        ],
        ["w4a16", "--group-size", "32", "--override", "*.mlp.*=fp8"],
    ),
}


def config_of(groups):
    named = {
        f"group_{i}": dict(targets=(more or [["Linear"]])[0], weights=weights, input_activations=inputs, format=format_)
        for i, (weights, inputs, format_, *more) in enumerate(groups)
    }
    return QuantizationConfig(config_groups=named, ignore=["lm_head"])


def cells(weight, scheme):
    """[rows, cols] -> the library's order of cells, one cell in the last dimension."""
    rows, cols = weight.shape
    strategy = scheme.strategy
    if strategy == "tensor":
        return weight.reshape(1, rows * cols)
    if strategy == "channel":
        return weight.reshape(rows, 1, cols)
    if strategy == "block":
        down, across = scheme.block_structure
        return weight.reshape(rows // down, down, cols // across, across).transpose(1, 2).flatten(-2)
    return weight.reshape(rows, cols // scheme.group_size, scheme.group_size)


@torch.no_grad()
def input_ranges(model, modules):
    """Module -> smallest and largest value of its input, over a part of IDS: what comes later may lie outside."""
    ranges = {}

    def note(name):
        return lambda _, inputs: ranges.update({name: (inputs[0].min(), inputs[0].max())})

    hooks = [model.get_submodule(name).register_forward_pre_hook(note(name)) for name in modules]
    model(torch.tensor([IDS[:9]]))
    for hook in hooks:
        hook.remove()
    return ranges


def set_qparams(module, input_range):
    inputs = module.quantization_scheme.input_activations
    if inputs is not None and inputs.dynamic is False:
        scale, _ = calculate_qparams(*input_range, inputs)
        module.input_scale.data = scale.reshape(module.input_scale.shape).to(module.input_scale.dtype)
    scheme = module.quantization_scheme.weights
    parts = cells(module.weight.data, scheme)
    least, most = parts.amin(-1), parts.amax(-1)
    whole = None
    if scheme.strategy == "tensor_group":
        whole = generate_gparam(least.min(), most.max())
        module.weight_global_scale.data = whole
    scale, zero = calculate_qparams(least, most, scheme, global_scale=whole)
    module.weight_scale.data = scale.reshape(module.weight_scale.shape).to(module.weight_scale.dtype)
    if hasattr(module, "weight_zero_point"):
        module.weight_zero_point.data = zero.reshape(module.weight_zero_point.shape).to(module.weight_zero_point.dtype)


def decompress(stored, scheme):
    """Local tensors of a module -> weight in float32. 4-bit floats come out of the library in bfloat16: undone here."""
    if "weight_global_scale" in stored:
        packed = stored["weight_packed"]
        values = unpack_fp4_from_uint8(packed, packed.shape[0], packed.shape[1] * 2, dtype=torch.float32)
        scale = stored["weight_scale"].float()
        return dequantize(values, scale, args=scheme.weights, global_scale=stored["weight_global_scale"])
    compressor = BaseCompressor.get_value_from_registry(scheme.format)
    return compressor.decompress(stored, scheme)["weight"].float()


def schemes_of(config, modules):
    """Module -> scheme, as the library matches targets."""
    model = LlamaForCausalLM(tiny_config())
    apply_quantization_config(model, config)
    return {name: model.get_submodule(name).quantization_scheme for name in modules}


def local(tensors, module):
    return {name.removeprefix(module + "."): t for name, t in tensors.items() if name.startswith(module + ".")}


def rounds_activations(quantization):
    return any(group["input_activations"] is not None for group in quantization["config_groups"].values())


def make(name):
    weights = tiny_weights()
    model = LlamaForCausalLM(tiny_config())
    model.load_state_dict(dict(weights, **{"lm_head.weight": weights["model.embed_tokens.weight"]}))
    modules = linears(weights)
    ranges = input_ranges(model, modules)
    apply_quantization_config(model, config_of(MODELS[name][0]))
    for module in modules:
        set_qparams(model.get_submodule(module), ranges[module])
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    state = model.state_dict()
    stored = {n: t for n, t in state.items() if any(n.startswith(m + ".") for m in modules)}
    dequantized = {
        m + ".weight": decompress(local(stored, m), model.get_submodule(m).quantization_scheme) for m in modules
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text("{}")
        compressor.update_config(folder)
        quantization = json.loads(Path(folder, "config.json").read_text())["quantization_config"]
    # Its forward pass rounds activations as well.
    compressor.decompress_model(model)
    with torch.no_grad():
        logits = model(torch.tensor([IDS])).logits[0].float().numpy() if rounds_activations(quantization) else None
    write_fixture(name, stored, quantization, dequantized, MADE_BY, logits=logits)


def espalier(*arguments):
    ran = subprocess.run(["node", MAIN, *map(str, arguments)], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(ran.stderr)


def check(name, scratch):
    """The tensors that quantize writes: the library's own, and what its decompression makes of them."""
    told = MODELS[name][1]
    if told is None:
        return True
    out, floats = scratch / name, scratch / f"{name}-floats"
    espalier("quantize", scratch / "source", "--scheme", *told, "--dtype", "f32", "--out", out)
    espalier("export", out, "--dtype", "f32", "--out", floats)
    ours, theirs = load_file(out / "model.safetensors"), load_file(FIXTURES / name / "model.safetensors")
    different = sorted(set(ours) ^ set(theirs)) + [
        n for n in ours if n in theirs and (ours[n].dtype != theirs[n].dtype or ours[n].shape != theirs[n].shape)
    ]
    values = {n: (ours[n].view(torch.uint8) != theirs[n].view(torch.uint8)).sum().item() for n in ours if n in theirs}
    values = {n: f"{c} of {ours[n].nbytes} bytes" for n, c in values.items() if c > 0} if not different else {}
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    config = QuantizationConfig(**{k: v for k, v in config.items() if k in QuantizationConfig.model_fields})
    read = load_file(floats / "model.safetensors")
    modules = linears(tiny_weights())
    schemes = schemes_of(config, modules)
    apart = []
    for module in modules:
        scheme = schemes[module]
        scheme.format = scheme.format or config.format
        if not torch.equal(decompress(local(ours, module), scheme), read[module + ".weight"]):
            apart.append(module)
    print(f"{name}: tensors {different or 'the same'}, bytes {values or 'the same'}, read back {apart or 'the same'}")
    return not different and not values and not apart


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    names = options.names or list(MODELS)
    if not options.check:
        write_model(FIXTURES / "source", {n: t.half() for n, t in tiny_weights().items()}, None)
        for name in names:
            make(name)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder) / "source", tiny_weights(), None)
        results = [check(name, Path(folder)) for name in names]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
