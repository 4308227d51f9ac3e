/**
 * Opens a GGUF file as a checkpoint: tensors under their Hugging Face names, the spec and a config.json from metadata.
 */
import { binding, type MappedFile } from "../binding.js";
import { EspalierError } from "../errors.js";
import { expectedTensors } from "../model/families.js";
import { specFromGguf } from "../model/gguf-metadata.js";
import { configFromSpec } from "../model/hf-config.js";
import { assemble, sourceShape, type OpenFiles } from "./assemble.js";
import { readGgufHeader, type GgufHeader, type GgufTensor } from "./gguf.js";
import { readTensor } from "./read.js";
import type { Checkpoint, CheckpointTensor, GgufValue, TokenizerFiles } from "./types.js";

const ROPE_FACTORS = "rope_freqs.weight";

export async function openGgufFile(path: string, files: OpenFiles): Promise<Checkpoint> {
  const header = await readGgufHeader(path);
  refuseSplit(header, path);
  const mapped = files.add(path, new binding.MappedFile(path), header.dataOffset);
  const byName = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
  const factors = byName.get(ROPE_FACTORS);
  const spec = specFromGguf(
    header.metadata,
    {
      has: (name) => byName.has(name),
      rows: (name) => byName.get(name)?.shape[0],
      ropeFactors: factors === undefined ? undefined : await readTensor(place(factors, path, mapped, factors.name, 0)),
    },
    path,
  );
  const expected = new Map(expectedTensors(spec).map((tensor) => [tensor.ggufName, tensor]));
  const tensors = new Map<string, CheckpointTensor>();
  for (const tensor of header.tensors) {
    const known = expected.get(tensor.name);
    const name = known?.name ?? tensor.name;
    tensors.set(name, place(tensor, path, mapped, name, known?.ggufPermuteHeads ?? 0));
  }
  const config = configFromSpec(spec, "float32");
  const tokenizerFiles = tokenizerFilesOf(header);
  return assemble({ format: "gguf", path, spec, config, tensors, tokenizerFiles }, files);
}

function refuseSplit(header: GgufHeader, path: string): void {
  const count = header.metadata.get("split.count");
  if (typeof count === "number" && count > 1)
    throw new EspalierError("ERR_GGUF_HEADER", `${path}: split.count: expected one file, found a part of ${count}`, {
      hint: "Merge the parts with llama-gguf-split --merge.",
    });
}

function place(
  tensor: GgufTensor,
  file: string,
  mapped: MappedFile,
  name: string,
  permuteHeads: number,
): CheckpointTensor {
  return {
    name,
    sourceName: tensor.name,
    file,
    mapped,
    shape: tensor.shape,
    offset: tensor.offset,
    sizeBytes: tensor.sizeBytes,
    type: tensor.type.name,
    ...sourceShape(tensor.shape),
    permuteHeads,
  };
}

function tokenizerFilesOf(header: GgufHeader): TokenizerFiles {
  const gguf: Record<string, GgufValue> = {};
  for (const [key, value] of header.metadata) if (key.startsWith("tokenizer.")) gguf[key] = value;
  const template = gguf["tokenizer.chat_template"];
  return { gguf, ...(typeof template === "string" ? { chatTemplate: template } : {}) };
}
