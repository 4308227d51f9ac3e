/**
 * Reads the header of a safetensors file. The file is untrusted: lengths, dtypes, shapes and offsets are checked as the
 * format's own library does, which tolerates no gaps, overlaps or trailing bytes.
 */
import { open, type FileHandle } from "node:fs/promises";
import { z } from "zod";
import { EspalierError, type ErrorCode } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";
import { parseStrictJson } from "./strict-json.js";

export interface SafetensorsTensor {
  name: string;
  /** Lower case: "f32", "bf16", ... */
  type: string;
  shape: number[];
  /** From the start of the file. */
  offset: number;
  sizeBytes: number;
}

export interface SafetensorsHeader {
  tensors: SafetensorsTensor[];
  /** __metadata__ */
  metadata: Record<string, string>;
  /** Where the tensor data begins. */
  dataOffset: number;
  fileBytes: number;
}

/** The limit of the format's own library. */
const MAX_HEADER_BYTES = 100_000_000;

/** Bytes an element. */
const dtypeBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
};

const size = z.number().int().nonnegative();
const entrySchema = z.looseObject({
  dtype: z.string(),
  shape: z.array(size),
  data_offsets: z.tuple([size, size]),
});
const metadataSchema = z.record(z.string(), z.string());

/**
 * The header of a safetensors file.
 *
 * @example const { tensors } = await readSafetensorsHeader("model.safetensors")
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  const file = await open(path, "r").catch((error: Error) => {
    throw new EspalierError("ERR_FILE_OPEN", `${path}: ${error.message}`, { cause: error });
  });
  try {
    const fileBytes = (await file.stat()).size;
    const text = await readHeaderText(file, path, fileBytes);
    return parseHeader(text.json, path, text.dataOffset, fileBytes);
  } finally {
    await file.close();
  }
}

function fail(path: string, code: ErrorCode, what: string): EspalierError {
  return new EspalierError(code, `${path}: ${what}`);
}

async function readHeaderText(
  file: FileHandle,
  path: string,
  fileBytes: number,
): Promise<{ json: string; dataOffset: number }> {
  if (fileBytes < 8)
    throw fail(path, "ERR_FILE_TRUNCATED", `the header length takes 8 bytes, the file has ${fileBytes}`);
  const length = Number((await readExactly(file, path, 0, 8)).readBigUInt64LE());
  if (length > MAX_HEADER_BYTES)
    throw fail(path, "ERR_SAFETENSORS_HEADER", `header length: expected at most ${MAX_HEADER_BYTES}, found ${length}`);
  if (8 + length > fileBytes)
    throw fail(path, "ERR_FILE_TRUNCATED", `the header ends at byte ${8 + length}, the file at ${fileBytes}`);
  const bytes = await readExactly(file, path, 8, length);
  try {
    return { json: new TextDecoder("utf-8", { fatal: true }).decode(bytes), dataOffset: 8 + length };
  } catch {
    throw fail(path, "ERR_SAFETENSORS_HEADER", "the header is not valid UTF-8");
  }
}

async function readExactly(file: FileHandle, path: string, start: number, length: number): Promise<Buffer> {
  const out = Buffer.allocUnsafe(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(out, done, length - done, start + done);
    if (bytesRead === 0) throw fail(path, "ERR_FILE_TRUNCATED", "the file was cut short while it was read");
    done += bytesRead;
  }
  return out;
}

function parseHeader(json: string, path: string, dataOffset: number, fileBytes: number): SafetensorsHeader {
  const code = "ERR_SAFETENSORS_HEADER";
  const value = parseStrictJson(json, path, code);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw fail(path, code, "the header is not an object");
  let metadata: Record<string, string> = {};
  const tensors: SafetensorsTensor[] = [];
  for (const [name, entry] of Object.entries(value)) {
    if (name === "__metadata__") metadata = parseFields(metadataSchema, entry, { code, where: path, prefix: name });
    else tensors.push(parseTensor(name, entry, path, dataOffset));
  }
  checkLayout(tensors, path, dataOffset, fileBytes);
  return { tensors, metadata, dataOffset, fileBytes };
}

function parseTensor(name: string, raw: unknown, path: string, dataOffset: number): SafetensorsTensor {
  const code = "ERR_SAFETENSORS_TENSOR";
  const entry = parseFields(entrySchema, raw, { code, where: path, prefix: name });
  const bytes = dtypeBytes[entry.dtype];
  if (bytes === undefined || !Object.hasOwn(dtypeBytes, entry.dtype))
    throw fail(
      path,
      code,
      `${name}.dtype: expected one of ${Object.keys(dtypeBytes).join(", ")}, found "${entry.dtype}"`,
    );
  const [begin, end] = entry.data_offsets;
  const expected = entry.shape.reduce((product, count) => product * count, bytes);
  const shape = `${entry.dtype} [${entry.shape.join(", ")}]`;
  if (!Number.isSafeInteger(expected)) throw fail(path, code, `${name}: the shape ${shape} cannot be`);
  if (end - begin !== expected)
    throw fail(path, code, `${name}.data_offsets: ${shape} takes ${expected} bytes, found ${end - begin}`);
  return { name, type: entry.dtype.toLowerCase(), shape: entry.shape, offset: dataOffset + begin, sizeBytes: expected };
}

/** Tensors follow each other without gaps and fill the file. */
function checkLayout(tensors: SafetensorsTensor[], path: string, dataOffset: number, fileBytes: number): void {
  const code = "ERR_SAFETENSORS_TENSOR";
  let end = dataOffset;
  // Empty tensors come first among those that begin at the same byte.
  const sorted = [...tensors].sort((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
  for (const tensor of sorted) {
    if (tensor.offset !== end)
      throw fail(
        path,
        code,
        `${tensor.name}.data_offsets: expected to begin at ${end - dataOffset}, where the tensor before it ends, ` +
          `found ${tensor.offset - dataOffset}`,
      );
    end += tensor.sizeBytes;
  }
  if (end > fileBytes)
    throw fail(path, "ERR_FILE_TRUNCATED", `the tensors end at byte ${end}, the file at ${fileBytes}`);
  if (end < fileBytes) throw fail(path, code, `${fileBytes - end} bytes follow the last tensor; expected none`);
}
