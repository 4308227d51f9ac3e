# Makes tiny GPTQ and AWQ checkpoints under test/fixtures/quantized: codes by round-to-nearest, packed by the layouts'
# published rules, written out below a value at a time; dequantized weights and logits beside them.
#   python test/oracles/gptq_awq.py
#   GPTQ (AutoGPTQ, GPTQModel)  qweight I32 [in / per word, out]: codes of neighbouring inputs in a word, the first in
#       the lowest bits; qzeros I32 [groups, out / per word] the same way along outputs, less one unless
#       checkpoint_format is gptq_v2; scales F16 [groups, out]; g_idx I32 [in], the group of every input
#   AWQ (AutoAWQ, gemm)  qweight I32 [in, out / 8]: code i of a word is that of output ORDER[i]; qzeros [groups, out / 8]
#   weight = (code - zero) * scale
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, safetensors 0.8.0, numpy 2.4.6
import numpy as np
import torch
import transformers
from quantized_fixture import linears, tiny_weights, write_fixture

MADE_BY = f"test/oracles/gptq_awq.py, transformers {transformers.__version__}, torch {torch.__version__}"
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def quantize(weight, groups, bits):
    """weight [out, in], groups [in] -> codes [in, out], zeros and scales [groups, out]; all codes unsigned."""
    count, most = groups.max() + 1, 2**bits - 1
    zeros, scales = np.zeros((count, len(weight)), np.int64), np.zeros((count, len(weight)), np.float16)
    codes = np.zeros(weight.T.shape, np.int64)
    for group in range(count):
        part = weight[:, groups == group]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        scale = np.where(high > low, (high - low) / most, 1).astype(np.float16)
        # The first version of GPTQ stores zero - 1, so that 0 is none of its zero points.
        zero = np.clip(np.rint(-low / scale.astype(np.float32)), 1, most).astype(np.int64)
        zeros[group], scales[group] = zero, scale
        codes[groups == group] = np.clip(np.rint(part / scale.astype(np.float32)[:, None]) + zero[:, None], 0, most).T
    return codes, zeros, scales


def dequantize(codes, zeros, scales, groups):
    value = (codes - zeros[groups]).astype(np.float32) * scales.astype(np.float32)[groups]
    return torch.from_numpy(np.ascontiguousarray(value.T))


def pack(values, bits, axis, order=None):
    per_word = 32 // bits
    values = np.moveaxis(values, axis, -1)
    words = values.reshape(*values.shape[:-1], -1, per_word).astype(np.uint64)
    out = np.zeros(words.shape[:-1], np.uint64)
    for place in range(per_word):
        out |= words[..., place if order is None else order[place]] << np.uint64(bits * place)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(out, -1, axis)).astype(np.uint32).view(np.int32))


def gptq(name, bits, group_size, version="gptq", act_order=False, hidden=64):
    weights, tensors, dequantized = tiny_weights(hidden), {}, {}
    random = np.random.Generator(np.random.PCG64(9))
    for module in linears(weights):
        weight = weights[module + ".weight"].numpy()
        groups = np.arange(weight.shape[1]) // (group_size if group_size > 0 else weight.shape[1])
        if act_order:
            groups = random.permutation(groups)
        codes, zeros, scales = quantize(weight, groups, bits)
        tensors[module + ".qweight"] = pack(codes, bits, 0)
        tensors[module + ".qzeros"] = pack(zeros - (version == "gptq"), bits, 1)
        tensors[module + ".scales"] = torch.from_numpy(scales)
        tensors[module + ".g_idx"] = torch.from_numpy(groups.astype(np.int32))
        dequantized[module + ".weight"] = dequantize(codes, zeros, scales, groups)
    config = dict(
        quant_method="gptq", bits=bits, group_size=group_size, desc_act=act_order, sym=False, lm_head=False,
        checkpoint_format=version, damp_percent=0.1, static_groups=False, true_sequential=True, pack_dtype="int32",
    )  # fmt: skip
    write_fixture(name, tensors, config, dequantized, MADE_BY, hidden)


def awq(name, group_size, hidden=64):
    weights, tensors, dequantized = tiny_weights(hidden), {}, {}
    for module in linears(weights):
        weight = weights[module + ".weight"].numpy()
        groups = np.arange(weight.shape[1]) // group_size
        codes, zeros, scales = quantize(weight, groups, 4)
        tensors[module + ".qweight"] = pack(codes, 4, 1, AWQ_ORDER)
        tensors[module + ".qzeros"] = pack(zeros, 4, 1, AWQ_ORDER)
        tensors[module + ".scales"] = torch.from_numpy(scales)
        dequantized[module + ".weight"] = dequantize(codes, zeros, scales, groups)
    config = dict(
        quant_method="awq", bits=4, group_size=group_size, version="gemm", zero_point=True, modules_to_not_convert=None
    )
    write_fixture(name, tensors, config, dequantized, MADE_BY, hidden)


gptq("gptq-g32", 4, 32)
gptq("gptq-v2-g64", 4, 64, version="gptq_v2")
gptq("gptq-channel", 4, -1)
gptq("gptq-act-order", 4, 32, act_order=True)
gptq("gptq-8bit-g32", 8, 32)
awq("awq-g64", 64)
awq("awq-g128", 128, hidden=128)
