// How fast does one decode step attend to a long context, by the type of the cache? All layers in turn, as a step does, so
// that keys and values come from memory; the types take turns.
//   node bench/kv-cache.mjs [--depths 512,4096,16384] [--dtypes bf16,int8,fp8,f16,f32] [--heads 32] [--kvHeads 8]
//     [--headDim 128] [--megabytes 400] [--rounds 7] [--threads 2] [--isa avx512]
import { binding } from "../dist/binding.js";
import { median, options, quartiles, table } from "./support.mjs";

const PAGE_TOKENS = 32;
const elementBytes = { f32: 4, f16: 2, bf16: 2, int8: 1, fp8: 1 };

const cpu = binding.cpuInfo();
const { depths, dtypes, heads, kvHeads, headDim, megabytes, rounds, threads, isa } = options({
  depths: "512,4096,16384",
  dtypes: "bf16,int8,fp8,f16,f32",
  heads: 32,
  kvHeads: 8,
  headDim: 128,
  megabytes: 400, // of a bf16 cache, all layers together
  rounds: 7,
  threads: cpu.threads,
  isa: cpu.isa,
});

function randomRows(tokens) {
  return Float32Array.from({ length: tokens * kvHeads * headDim }, () => Math.random() * 4 - 2);
}

/** A cache of one sequence of `depth` tokens as the engine lays it out: all layers of a page lie together. */
function makeCache(dtype, depth, layers) {
  const scales = dtype === "int8" || dtype === "fp8" ? 4 * PAGE_TOKENS : 0;
  const half = kvHeads * (scales + headDim * PAGE_TOKENS * elementBytes[dtype]);
  const pageStride = layers * 2 * half;
  const pages = Int32Array.from({ length: Math.ceil(depth / PAGE_TOKENS) }, (_, page) => page);
  const bytes = new Uint8Array(pages.length * pageStride);
  const block = Math.min(depth, 512);
  const [k, v] = [randomRows(block), randomRows(block)];
  const views = Array.from({ length: layers }, (_, layer) => ({
    keys: bytes.subarray(2 * half * layer),
    values: bytes.subarray(2 * half * layer + half),
    pageStride,
    kvHeads,
    headDim,
    dtype,
  }));
  for (const view of views)
    for (let position = 0; position < depth; position += block) {
      const tokens = Math.min(block, depth - position);
      binding.testing.kv_append({ ...view, k, v, ldkv: kvHeads * headDim, tokens, pages, position, threads, isa });
    }
  return { views, pages, bytes: depth * layers * 2 * (half / PAGE_TOKENS) };
}

/** Seconds of one step's attention, all layers. */
function step({ views, pages }, depth) {
  const width = heads * headDim;
  const sequence = { q: new Float32Array(width).fill(0.1), out: new Float32Array(width), qLen: 1, kvLen: depth, pages };
  const call = { sequences: [sequence], heads, ldq: width, ldo: width, scale: headDim ** -0.5, threads, isa };
  return views.reduce((seconds, view) => seconds + binding.testing.attention({ ...view, ...call }), 0);
}

/** Relative error of the first layer against the reference over the same cache. */
function check({ views, pages }, depth) {
  const width = heads * headDim;
  const run = (how) => {
    const q = Float32Array.from({ length: width }, (_, i) => Math.sin(i));
    const sequence = { q, out: new Float32Array(width), qLen: 1, kvLen: depth, pages };
    const call = { sequences: [sequence], heads, ldq: width, ldo: width, scale: headDim ** -0.5, threads, ...how };
    binding.testing.attention({ ...views[0], ...call });
    return sequence.out;
  };
  const [found, expected] = [run({ isa }), run({ reference: true })];
  const error = Math.sqrt(
    found.reduce((sum, value, i) => sum + (value - expected[i]) ** 2, 0) / expected.reduce((sum, e) => sum + e * e, 0),
  );
  if (!(error < 1e-5)) throw new Error(`attention is off by ${error} from the reference`);
}

const rows = [];
for (const depth of String(depths).split(",").map(Number)) {
  const layers = Math.max(2, Math.ceil((megabytes * 1e6) / (depth * kvHeads * headDim * 4)));
  const names = dtypes.split(",");
  const caches = names.map((dtype) => makeCache(dtype, depth, layers));
  for (const cache of caches) check(cache, depth);
  const times = names.map(() => []);
  for (let round = -1; round < rounds; ++round)
    caches.forEach((cache, i) => {
      const seconds = step(cache, depth);
      if (round >= 0) times[i].push(seconds);
    });
  names.forEach((dtype, i) => {
    const ratios = times[0].map((first, round) => first / times[i][round]);
    rows.push({
      depth,
      layers,
      dtype,
      "ms / step": (median(times[i]) * 1e3).toFixed(2),
      "GB/s": (caches[i].bytes / median(times[i]) / 1e9).toFixed(1),
      [`speed / ${names[0]}`]: median(ratios).toFixed(3),
      quartiles: quartiles(ratios),
    });
  });
}
table(`decode attention, ${heads}/${kvHeads} heads of ${headDim}, ${cpu.model}, ${threads} threads, ${isa}`, rows);
