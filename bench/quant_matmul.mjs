// What do quantized weights cost and gain in a product? Every format takes turns with f16 and int8 in each round; at
// small m the weights come from memory, and are compared with the read bandwidth measured in the same round.
//   node bench/quant_matmul.mjs [--m 1,8,64,512] [--n 4096] [--k 4096] [--rounds 5] [--threads 2] [--isa avx2,avx512]
//     [--format nf4,int4-g64,...] [--json]
// BITSANDBYTES_PYTHON=python3: bitsandbytes' NF4 layer takes turns too (bench/peers/bitsandbytes.py).
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { binding } from "../dist/binding.js";
import { median, options, quartiles, table } from "./support.mjs";

const cpu = binding.cpuInfo();
const all = binding
  .weightFormats()
  .filter(({ inputScale }) => !inputScale)
  .map(({ id }) => id);
const chosen = options({
  m: "1,8,64,512",
  n: 4096,
  k: 4096,
  rounds: 5,
  threads: cpu.threads,
  isa: cpu.isas.filter((name) => name === "avx2" || name === "avx512").join(","),
  format: all.filter((id) => !["f32", "f16", "bf16", "int8"].includes(id)).join(","),
});
const { n, k, rounds, threads } = chosen;
const COLD_BYTES = 1.2e9; // more than caches hold
const COLD_ROWS = 8; // up to here the weights are what a product waits for
const baselines = ["f16", "int8"];
const formats = [...new Set([...baselines, ...chosen.format.split(",")])];

/** Throws unless small products equal the reference: nf4's table is kept to 2^-13, hence the bound. */
function check(isa, format, m) {
  const [rows, columns] = [48, 192];
  const random = (length) => Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + (i % 7)));
  const call = (reference) => {
    const out = new Float32Array(m * rows);
    const product = { format, w: random(rows * columns), n: rows, k: columns, out, ldo: rows };
    binding.testing.matmul({ isa, m, x: random(m * columns), ldx: columns, reference, products: [product] });
    return out;
  };
  const [actual, expected] = [call(false), call(true)];
  const error = actual.reduce((sum, value, i) => sum + (value - expected[i]) ** 2, 0);
  const size = expected.reduce((sum, value) => sum + value ** 2, 0);
  if (!(error <= 1e-6 * size))
    throw new Error(`${format} on ${isa}, m ${m}: nmse ${error / size} against the reference`);
}

/** Of a matrix [n, k], from a few of its rows. */
function packedBytes(format) {
  const rows = 64;
  const call = { isa: "ref", threads, format, m: 0, n: rows, k };
  return (binding.testing.time_matmul(call).bytes * n) / rows;
}

/** Milliseconds of each of some products, and the packed bytes of one. */
function time(isa, format, m) {
  const matrices = m <= COLD_ROWS ? Math.ceil(COLD_BYTES / packedBytes(format)) : 1;
  const repeats = m <= COLD_ROWS ? 40 : m <= 64 ? 10 : 4;
  const { seconds, bytes } = binding.testing.time_matmul({ isa, threads, format, m, n, k, matrices, repeats });
  return { ms: median([...seconds.subarray(1)]) * 1e3, bytes };
}

function startPeer(python) {
  const path = fileURLToPath(new URL("peers/bitsandbytes.py", import.meta.url));
  const child = spawn(python, [path, threads, n, k].map(String), { stdio: ["pipe", "pipe", "ignore"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${python} ${path} ended: it needs bitsandbytes and torch`);
    return JSON.parse(value);
  };
  const run = async (m, dtype) => {
    child.stdin.write(`${m} ${dtype} ${m <= COLD_ROWS ? 40 : m <= 64 ? 10 : 4}\n`);
    return median(await answer());
  };
  return { ready: answer(), run, stop: () => child.stdin.end() };
}

/** One round: every format once, in an order that turns from round to round. */
async function runRound(isa, m, round, peer, results) {
  const { readGBps } = await binding.measureCeilings({ isa, threads, seconds: 0.3 });
  const turn = round % formats.length;
  const times = {};
  for (const format of [...formats.slice(turn), ...formats.slice(0, turn)]) times[format] = time(isa, format, m);
  if (peer)
    for (const dtype of ["bfloat16", "float32"]) times[`bitsandbytes ${dtype}`] = { ms: await peer.run(m, dtype) };
  for (const [name, { ms, bytes }] of Object.entries(times)) {
    const result = (results[name] ??= { ms: [], read: [], f16: [], int8: [], peer: [], bytes });
    result.ms.push(ms);
    result.read.push(bytes / ms / 1e6 / readGBps);
    result.f16.push(times.f16.ms / ms);
    result.int8.push(times.int8.ms / ms);
    if (peer) result.peer.push(times["bitsandbytes bfloat16"].ms / ms);
  }
}

function rowOf(name, m, { ms, read, f16, int8, peer, bytes }) {
  const row = {
    format: name,
    "median ms": median(ms).toFixed(3),
    "GFLOP/s": ((2 * m * n * k) / median(ms) / 1e6).toFixed(0),
  };
  if (m <= COLD_ROWS) {
    row["packed GB/s"] = bytes ? (bytes / median(ms) / 1e6).toFixed(1) : "";
    row["of read"] = bytes ? median(read).toFixed(3) : "";
  }
  row["x f16"] = median(f16).toFixed(2);
  row.quartiles = quartiles(f16);
  row["x int8"] = median(int8).toFixed(2);
  if (peer.length > 0) row["x bitsandbytes bf16"] = median(peer).toFixed(2);
  return row;
}

const peer = process.env.BITSANDBYTES_PYTHON ? startPeer(process.env.BITSANDBYTES_PYTHON) : null;
try {
  const versions = await peer?.ready;
  const peerName = versions ? `, bitsandbytes ${versions.bitsandbytes}, torch ${versions.torch}` : "";
  for (const isa of chosen.isa.split(","))
    for (const m of chosen.m.split(",").map(Number)) {
      for (const format of formats) check(isa, format, m);
      const results = {};
      for (let round = 0; round < rounds; ++round) await runRound(isa, m, round, peer, results);
      const rows = Object.entries(results).map(([name, result]) => rowOf(name, m, result));
      table(`${isa}, m = ${m}, [${n}, ${k}], ${cpu.model}, ${threads} threads${peerName}`, rows);
    }
} finally {
  peer?.stop();
}
