// How close do the blocked products come to what the machine can do? Interleaves them with the measured ceilings.
//   node bench/gemm.mjs [--size 2048] [--rounds 5] [--threads 2] [--isa avx2,avx512] [--format f32,int8-w8a8]
import { binding } from "../dist/binding.js";
import { median, options, spread, table } from "./support.mjs";

const cpu = binding.cpuInfo();
const { size, rounds, threads, isa, format } = options({
  size: 2048,
  rounds: 5,
  threads: cpu.threads,
  isa: cpu.isas.filter((name) => name !== "ref").join(","),
  format: "f32,f16,bf16,int8,int8-w8a8",
});
const ceilingOf = {
  f32: "f32Gflops",
  f16: "f32Gflops",
  int8: "f32Gflops",
  bf16: "bf16Gflops",
  "int8-w8a8": "int8Gops",
};
const work = 2 * size ** 3 * 1e-9;

/** Speeds of a few products and the ceiling around them, `rounds` times. */
async function measure(isaName, formatId) {
  const shape = { isa: isaName, threads, format: formatId, m: size, n: size, k: size };
  binding.testing.time_matmul({ ...shape, repeats: 2 });
  const speeds = [];
  const ceilings = [];
  for (let round = 0; round < rounds; ++round) {
    const ceiling = await binding.measureCeilings({ isa: isaName, threads, seconds: 0.5, bufferBytes: 4 << 20 });
    ceilings.push(ceiling[ceilingOf[formatId]]);
    for (const seconds of binding.testing.time_matmul({ ...shape, repeats: 4 })) speeds.push(work / seconds);
  }
  return { speeds, ceilings };
}

const rows = [];
for (const isaName of isa.split(","))
  for (const formatId of format.split(",")) {
    const { speeds, ceilings } = await measure(isaName, formatId);
    const ceiling = Math.max(...ceilings);
    rows.push({
      isa: isaName,
      format: formatId,
      "best GFLOP/s": Math.max(...speeds).toFixed(0),
      "median GFLOP/s": median(speeds).toFixed(0),
      spread: spread(speeds),
      ceiling: ceiling.toFixed(0),
      "best / ceiling": (Math.max(...speeds) / ceiling).toFixed(3),
    });
  }
table(`matmul ${size}³, ${cpu.model}, ${threads} threads`, rows);
