# Does TensorRT take the models that `espalier export --to onnx` writes? Exports one in every dtype and kind of quantization and
# builds a plan of each with TensorRT-RTX, which needs no GPU for that. Plans are built, not run. Exits with 1 when one fails.
#   pip install tensorrt-rtx-cu13-libs==1.7.1.116 tensorrt-rtx-cu13-bindings==1.7.1.116
#   python test/oracles/onnx_tensorrt.py [MODEL [GROUP_SIZE]]
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, TensorRT-RTX 1.7.1.116
import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

import tensorrt_rtx_libs

# The bindings look for these by name; loaded before, they are found.
for library in ["libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1"]:
    ctypes.CDLL(Path(tensorrt_rtx_libs.__file__).parent / library, mode=ctypes.RTLD_GLOBAL)
from tensorrt_rtx_bindings import tensorrt_rtx as trt  # noqa: E402

ROOT = Path(__file__).parents[2]
CAPABILITY = trt.ComputeCapability.SM89  # the oldest with fp8


def export(source, out, flags):
    command = ["node", ROOT / "dist" / "cli" / "main.js", "export", source, "--to", "onnx", "--out", out, *flags]
    subprocess.run(command, check=True, capture_output=True)


def shapes_of(name, shape):
    """Least, usual and most: up to 2 sequences, 64 tokens so far and 64 new ones."""
    if name in ("input_ids", "position_ids"):
        return (1, 1), (1, 16), (2, 64)
    if name == "attention_mask":
        return (1, 1), (1, 32), (2, 128)
    heads, head_dim = shape[1], shape[3]
    return (1, heads, 0, head_dim), (1, heads, 16, head_dim), (2, heads, 64, head_dim)


def plan_bytes(path):
    """None when it cannot be built; TensorRT says why."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    if not trt.OnnxParser(network, logger).parse_from_file(str(path)):
        return None
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    for tensor in map(network.get_input, range(network.num_inputs)):
        profile.set_shape(tensor.name, *shapes_of(tensor.name, tensor.shape))
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    assert config.set_compute_capability(CAPABILITY, 0) is not False
    plan = builder.build_serialized_network(network, config)
    return None if plan is None else plan.nbytes


def main():
    source = sys.argv[1] if len(sys.argv) > 1 else ROOT / "models" / "teacher"
    group_size = sys.argv[2] if len(sys.argv) > 2 else "128"
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        for dtype in ["f32", "f16", "bf16"]:
            for kind in [None, "int8", "fp8", "int4"]:
                flags = ["--dtype", dtype, *(["--quantize", kind] if kind else [])]
                flags += ["--group-size", group_size] if kind == "int4" else []
                out = Path(root) / f"{dtype}-{kind}"
                export(source, out, flags)
                size = plan_bytes(out / "model.onnx")
                failed += size is None
                print(" ".join(flags), "failed" if size is None else f"{size} bytes", flush=True)
    sys.exit(1 if failed else 0)


main()
