/**
 * Opens a Hugging Face directory, or one .safetensors file beside its config.json.
 */
import { access, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { binding } from "../binding.js";
import { EspalierError } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";
import { specFromConfig } from "../model/hf-config.js";
import { readSafetensorsHeader, type SafetensorsHeader } from "./safetensors.js";
import { readJsonFile, readJsonObject, readTextFile } from "./strict-json.js";
import { aliasTiedTensors, assemble, sourceShape, type OpenFiles } from "./assemble.js";
import { collectQuantized, quantizedModelOf } from "./quantized/index.js";
import type { Checkpoint, CheckpointTensor, TokenizerFiles } from "./types.js";

const CONFIG = "config.json";
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

export async function openHuggingFaceDirectory(path: string, files: OpenFiles): Promise<Checkpoint> {
  const there = new Set(await readdir(path));
  if (there.has("engine.json"))
    throw notAModel(path, "it is an engine, already built; give the model it was built from");
  if (!there.has(CONFIG)) throw notAModel(path, `it has no ${CONFIG}`);
  if (there.has(INDEX)) return openFiles(path, path, await readIndex(join(path, INDEX), there), files);
  if (there.has(WEIGHTS)) return openFiles(path, path, new Map([[WEIGHTS, null]]), files);
  const others = [...there].filter((name) => /\.(safetensors|gguf|bin|pth?)$/.test(name));
  throw notAModel(
    path,
    `it has neither ${WEIGHTS} nor ${INDEX}${others.length > 0 ? `; found ${others.slice(0, 5).join(", ")}` : ""}`,
  );
}

export async function openSafetensorsFile(path: string, files: OpenFiles): Promise<Checkpoint> {
  const directory = dirname(path);
  if (!(await isThere(join(directory, CONFIG)))) throw notAModel(path, `there is no ${CONFIG} beside it`);
  return openFiles(path, directory, new Map([[basename(path), null]]), files);
}

export function notAModel(path: string, what: string): EspalierError {
  return new EspalierError("ERR_MODEL_NOT_FOUND", `${path}: not a model: ${what}`);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Tensor names each shard must have; null: whatever it has. */
type Shards = Map<string, Set<string> | null>;

async function readIndex(path: string, there: Set<string>): Promise<Shards> {
  const index = parseFields(indexSchema, await readJsonFile(path), { code: "ERR_CHECKPOINT_INDEX", where: path });
  const shards = new Map<string, Set<string>>();
  for (const [name, file] of Object.entries(index.weight_map)) {
    // An index must not lead out of its directory.
    if (basename(file) !== file || file.includes("\\") || file.includes("\0") || !file.endsWith(".safetensors"))
      throw indexError(
        path,
        `weight_map["${name}"]: expected the name of a .safetensors file beside it, found "${file}"`,
      );
    if (!there.has(file)) throw indexError(path, `the shard "${file}" is missing`);
    const names = shards.get(file) ?? new Set();
    shards.set(file, names.add(name));
  }
  if (shards.size === 0) throw indexError(path, "weight_map: expected at least one tensor, found none");
  return shards;
}

function indexError(path: string, what: string): EspalierError {
  return new EspalierError("ERR_CHECKPOINT_INDEX", `${path}: ${what}`);
}

async function openFiles(path: string, directory: string, shards: Shards, files: OpenFiles): Promise<Checkpoint> {
  const configPath = join(directory, CONFIG);
  const config = await readJsonObject(configPath);
  const tokenizerFiles = await readTokenizerFiles(directory);
  const spec = specFromConfig(config, configPath, tokenizerFiles.generationConfig);
  const model = quantizedModelOf(config, configPath);
  const stored = new Map<string, CheckpointTensor>();
  for (const [name, expected] of shards) {
    const file = join(directory, name);
    const header = await readSafetensorsHeader(file);
    for (const tensor of header.tensors) if (expected?.has(tensor.name) === true) expected.delete(tensor.name);
    const missing = expected?.values().next().value;
    if (missing !== undefined)
      throw indexError(join(directory, INDEX), `"${missing}" should be in ${name}, which does not have it`);
    addTensors(stored, file, header, files);
  }
  const tensors = model === null ? stored : await collectQuantized(stored, spec, model);
  aliasTiedTensors(tensors, spec);
  return assemble({ format: "safetensors", path, spec, config, tensors, tokenizerFiles }, files);
}

function addTensors(
  tensors: Map<string, CheckpointTensor>,
  file: string,
  header: SafetensorsHeader,
  files: OpenFiles,
): void {
  const mapped = files.add(file, new binding.MappedFile(file), header.dataOffset);
  for (const { name, type, shape, offset, sizeBytes } of header.tensors) {
    const other = tensors.get(name);
    if (other !== undefined)
      throw new EspalierError("ERR_CHECKPOINT_INDEX", `"${name}" is in ${other.file} and again in ${file}`);
    const place = { offset, sizeBytes, type, ...sourceShape(shape), permuteHeads: 0 };
    tensors.set(name, { ...place, name, sourceName: name, file, mapped, shape });
  }
  // safetensors.torch writes a shared tensor once and notes the other names as metadata.
  for (const [alias, kept] of Object.entries(header.metadata)) {
    const tensor = tensors.get(kept);
    if (tensor?.file === file && !tensors.has(alias)) tensors.set(alias, { ...tensor, name: alias });
  }
}

const OTHER_TOKENIZER_FILES = [
  "added_tokens.json",
  "chat_template.jinja",
  "merges.txt",
  "special_tokens_map.json",
  "tokenizer.model",
  "vocab.json",
  "vocab.txt",
];

/** The tokenizer's files that a directory has. */
export async function readTokenizerFiles(directory: string): Promise<TokenizerFiles> {
  const out: TokenizerFiles = {};
  const at = (name: string): string => join(directory, name);
  if (await isThere(at("tokenizer.json"))) out.tokenizerJson = at("tokenizer.json");
  if (await isThere(at("tokenizer_config.json")))
    out.tokenizerConfig = await readJsonObject(at("tokenizer_config.json"));
  if (await isThere(at("generation_config.json")))
    out.generationConfig = await readJsonObject(at("generation_config.json"));
  if (await isThere(at("chat_template.jinja"))) out.chatTemplate = await readTextFile(at("chat_template.jinja"));
  const others: string[] = [];
  for (const name of OTHER_TOKENIZER_FILES) if (await isThere(at(name))) others.push(at(name));
  if (others.length > 0) out.others = others;
  return out;
}
