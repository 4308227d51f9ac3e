/**
 * openCheckpoint: the one way in for model files.
 */
import { stat } from "node:fs/promises";
import { toEspalierError } from "../errors.js";
import { OpenFiles } from "./assemble.js";
import { checkTensors } from "./check.js";
import { notAModel, openHuggingFaceDirectory, openSafetensorsFile } from "./open-directory.js";
import { openGgufFile } from "./open-gguf.js";
import type { Checkpoint } from "./types.js";

/**
 * Opens a Hugging Face directory, a .safetensors file with config.json beside it, or a .gguf file. Nothing but headers
 * is read; weights are read on demand with `readTensor`.
 *
 * @example
 * await using checkpoint = await openCheckpoint("SmolLM2-135M-Instruct.Q4_1.gguf");
 * console.log(checkpoint.spec.numLayers, checkpoint.tensors.size);
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const files = new OpenFiles();
  try {
    return await openByKind(path, files);
  } catch (error) {
    files.close();
    throw toEspalierError(error);
  }
}

/** The same, of a model that has all its weights. ERR_CHECKPOINT_TENSORS. */
export async function openWhole(path: string): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(path);
  try {
    checkTensors(checkpoint);
    return checkpoint;
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

async function openByKind(path: string, files: OpenFiles): Promise<Checkpoint> {
  const info = await stat(path).catch((error: Error) => {
    throw notAModel(path, error.message);
  });
  if (info.isDirectory()) return openHuggingFaceDirectory(path, files);
  if (!info.isFile()) throw notAModel(path, "it is neither a file nor a directory");
  if (path.endsWith(".safetensors")) return openSafetensorsFile(path, files);
  if (path.endsWith(".gguf")) return openGgufFile(path, files);
  throw notAModel(path, "expected a directory, a .safetensors or a .gguf file");
}
