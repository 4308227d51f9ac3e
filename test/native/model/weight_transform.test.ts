/** Transforms of weights as they are read, against the definition of R and plain loops. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { binding, type TensorSource, type WeightTransform } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { temporaryDirectory } from "../../temporary.js";

const error = (code: string, words: string): object => ({ code, message: expect.stringContaining(words) as string });

const directory = temporaryDirectory();
const rotation = binding.testing["rotation"] as (options: Record<string, unknown>) => void;
let count = 0;

interface Stored {
  file: InstanceType<typeof binding.MappedFile>;
  source: TensorSource;
  values: Float32Array;
}

function noise(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 2147483648 - 0.5;
  });
}

function store(rows: number, cols: number, change: (values: Float32Array) => void = () => {}): Stored {
  const values = noise(rows * cols, rows * 1000 + cols);
  change(values);
  const path = join(directory, `w${count++}`);
  writeFileSync(path, new Uint8Array(values.buffer));
  const source = { offset: 0, sizeBytes: values.byteLength, type: "f32", rows, cols, permuteHeads: 0 };
  return { file: new binding.MappedFile(path), source, values };
}

/** Rows times R, by its definition. */
function timesR(values: Float32Array, width: number): Float32Array {
  const out = new Float32Array(values.length);
  rotation({ x: values, out, tokens: values.length / width, width, reference: true });
  return out;
}

function transposed(values: Float32Array, rows: number): Float32Array {
  const cols = values.length / rows;
  return Float32Array.from(values, (_, i) => values[(i % rows) * cols + Math.floor(i / rows)]!);
}

async function read({ file, source }: Stored, transform: WeightTransform, range = {}): Promise<Float32Array> {
  const rows = (range as { rowCount?: number }).rowCount ?? source.rows;
  const out = new Float32Array(rows * source.cols);
  await binding.readTensor(file, source, { dtype: "f32", transform, ...range }, new Uint8Array(out.buffer));
  return out;
}

// one, odd, a power of two, both; rows around the blocks of 16
const shapes = [
  [1, 1],
  [1, 24],
  [3, 37],
  [16, 64],
  [33, 96],
  [64, 5],
] as const;

it.each(shapes)("[%i, %i]: columns by a gain and R, rows by R", async (rows, cols) => {
  const w = store(rows, cols);
  const gain = store(1, cols);
  const scaled = Float32Array.from(w.values, (value, i) => value * gain.values[i % cols]!);
  const columns = await read(w, { columnScale: { file: gain.file, source: gain.source }, rotateColumns: true });
  expectWithin(columns, timesR(scaled, cols), "rotation/f32", "columns");
  // A vector is a bias: its elements are the rows.
  const rotated = rows === 1 ? timesR(w.values, cols) : transposed(timesR(transposed(w.values, rows), rows), cols);
  expectWithin(await read(w, { rotateRows: true }), rotated, "rotation/f32", "rows");
  expect(await read(w, { fill: 1 })).toEqual(new Float32Array(rows * cols).fill(1));
  expect(await read(w, {})).toEqual(w.values);
});

it("columns of some rows; rows all at once or not at all", async () => {
  const w = store(12, 40);
  const whole = await read(w, { rotateColumns: true });
  const some = await read(w, { rotateColumns: true }, { rowBegin: 5, rowCount: 3 });
  expect(some).toEqual(whole.slice(5 * 40, 8 * 40));
  await expect(read(w, { rotateRows: true }, { rowBegin: 5, rowCount: 3 })).rejects.toMatchObject(
    error("ERR_ARGUMENT", "rotateRows: expected all rows"),
  );
});

it("is rounded to 16 bits after it was rotated, and an overflow is told", async () => {
  const w = store(4, 64);
  const out = new Uint16Array(4 * 64);
  const range = { dtype: "bf16", transform: { rotateColumns: true } } as const;
  await binding.readTensor(w.file, w.source, range, new Uint8Array(out.buffer));
  const wide = await read(w, { rotateColumns: true });
  const bits = new Uint32Array(Uint32Array.from(out, (half) => half << 16));
  const values = new Float32Array(bits.buffer);
  for (let i = 0; i < values.length; ++i)
    expect(Math.abs(values[i]! - wide[i]!)).toBeLessThanOrEqual(Math.abs(wide[i]!) / 256);
  const large = store(1, 64, (all) => all.fill(60000));
  await expect(
    binding.readTensor(large.file, large.source, { ...range, dtype: "f16" }, new Uint8Array(128)),
  ).rejects.toMatchObject({ code: "ERR_WEIGHT_VALUE" });
});

it("quantizeTensor quantizes what the transform makes", async () => {
  const w = store(48, 64);
  const options = { format: "int8", layout: "codes", group: 0 };
  const transform = { rotateRows: true };
  const values = await read(w, transform);
  const path = join(directory, "rotated");
  writeFileSync(path, new Uint8Array(values.buffer));
  const plain = await binding.quantizeTensor(new binding.MappedFile(path), w.source, options);
  const made = await binding.quantizeTensor(w.file, w.source, options, transform);
  expect(made).toEqual(plain);
  expect(await binding.quantizeTensor(w.file, w.source, options)).not.toEqual(plain);
});

it.each([NaN, Infinity])("%s is refused where it stands, a gain of another length too", async (value) => {
  const bad = store(20, 32, (values) => (values[5 * 32 + 7] = value));
  for (const transform of [{ rotateColumns: true }, { rotateRows: true }, { fill: 1 }])
    await expect(read(bad, transform)).rejects.toMatchObject(error("ERR_WEIGHT_VALUE", "element [5, 7]"));
  const w = store(20, 32);
  const gain = store(1, 31);
  await expect(read(w, { columnScale: { file: gain.file, source: gain.source } })).rejects.toMatchObject(
    error("ERR_SHAPE", "columnScale: expected 32 values, found 31"),
  );
});
