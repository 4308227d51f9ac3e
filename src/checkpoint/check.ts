/**
 * checkTensors: does a checkpoint hold exactly the tensors its family needs, in shapes and types that can be used?
 */
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import { expectedTensors, ignorableNames } from "../model/families.js";
import { kvCacheSchemeOf, kvScaleNames } from "../model/kv-cache-scheme.js";
import { show } from "../model/parse-fields.js";
import { checkReadable } from "./read.js";
import type { Checkpoint } from "./types.js";

const LISTED = 5;

/** Throws ERR_CHECKPOINT_TENSORS, ERR_SHAPE, ERR_GGUF_TYPE or ERR_TENSOR_DTYPE with the names concerned. */
export function checkTensors(checkpoint: Checkpoint): void {
  checkOpened(checkpoint);
  const { spec, tensors, path } = checkpoint;
  const expected = expectedTensors(spec);
  const missing = expected.filter((tensor) => !tensors.has(tensor.name)).map((tensor) => tensor.name);
  if (missing.length > 0) throw new EspalierError("ERR_CHECKPOINT_TENSORS", `${path}: ${count(missing, "missing")}`);
  const known = ignorableNames(spec);
  for (const tensor of expected) known.add(tensor.name);
  for (const name of scaleNames(checkpoint)) known.add(name);
  const unexpected = [...tensors.keys()].filter((name) => !known.has(name));
  if (unexpected.length > 0)
    throw new EspalierError(
      "ERR_CHECKPOINT_TENSORS",
      `${path}: ${count(unexpected, `that a ${spec.family} model of this configuration does not have`)}`,
    );
  for (const { name, shape } of expected) {
    const tensor = tensors.get(name);
    if (tensor === undefined) continue;
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i]))
      throw new EspalierError(
        "ERR_SHAPE",
        `${tensor.file}: "${tensor.sourceName}": expected [${shape.join(", ")}], found [${tensor.shape.join(", ")}]`,
      );
    checkReadable(tensor);
  }
}

/** ERR_ARGUMENT: a path, say, where an open checkpoint is due. */
function checkOpened(checkpoint: unknown): void {
  if (!isRecord(checkpoint) || !(checkpoint["tensors"] instanceof Map))
    throw new EspalierError(
      "ERR_ARGUMENT",
      `checkpoint: expected one that openCheckpoint opened, found ${show(checkpoint)}`,
    );
}

/** Tensors that go with a quantized cache. */
function scaleNames({ spec, config, path }: Checkpoint): string[] {
  if (kvCacheSchemeOf(config, `${path}: config.json`) === null) return [];
  return Array.from({ length: spec.numLayers }, (_, layer) => Object.values(kvScaleNames(layer))).flat();
}

function count(names: string[], what: string): string {
  const listed = names.slice(0, LISTED).join(", ");
  return `${names.length} tensors ${what}: ${listed}${names.length > LISTED ? ", ..." : ""}`;
}
