// How close do the blocked products come to what the machine can do? Each product takes turns with
// a burst of the ceiling as long as itself (clocks fall under load); the median of the ratios counts.
//   node bench/gemm.mjs [--size 2048] [--rounds 40] [--threads 2] [--isa avx2,avx512] [--format f32,int8-w8a8]
import { binding } from "../dist/binding.js";
import { median, options, quartiles, spread, table } from "./support.mjs";

const cpu = binding.cpuInfo();
const { size, rounds, threads, isa, format } = options({
  size: 2048,
  rounds: 40,
  threads: cpu.threads,
  isa: cpu.isas.filter((name) => name !== "ref").join(","),
  format: "f32,f16,bf16,int8,int8-w8a8",
});
const ceilingOf = { f32: "f32", f16: "f32", int8: "f32", bf16: "bf16", "int8-w8a8": "int8" };
const work = 2 * size ** 3 * 1e-9;

const rows = [];
for (const isaName of isa.split(","))
  for (const formatId of format.split(",")) {
    const shape = { isa: isaName, threads, format: formatId, m: size, n: size, k: size };
    const times = binding.testing.time_matmul({ ...shape, repeats: rounds + 1, ceiling: ceilingOf[formatId] });
    const speeds = [...times.seconds.subarray(1)].map((seconds) => work / seconds);
    const ratios = speeds.map((speed, round) => speed / times.ceiling[round + 1]);
    rows.push({
      isa: isaName,
      format: formatId,
      "median GFLOP/s": median(speeds).toFixed(0),
      spread: spread(speeds),
      ceiling: median([...times.ceiling.subarray(1)]).toFixed(0),
      "speed / ceiling": median(ratios).toFixed(3),
      quartiles: quartiles(ratios),
    });
  }
table(`matmul ${size}³, ${cpu.model}, ${threads} threads`, rows);
