// Does a matrix-vector product (decoding one token) stream cold weights at the read bandwidth of the machine?
//   node bench/decode-gemv.mjs [--m 1] [--n 4096] [--k 4096] [--megabytes 1600] [--rounds 5] [--isa ...] [--format ...]
import { binding } from "../dist/binding.js";
import { median, options, spread, table } from "./support.mjs";

const cpu = binding.cpuInfo();
const { m, n, k, megabytes, rounds, threads, isa, format } = options({
  m: 1,
  n: 4096,
  k: 4096,
  megabytes: 1600,
  rounds: 5,
  threads: cpu.threads,
  isa: cpu.isas.filter((name) => name !== "ref").join(","),
  format: "f32,f16,bf16,int8,int8-w8a8",
});
const bytesPerWeight = { f32: 4, f16: 2, bf16: 2, int8: 1, "int8-w8a8": 1 };

const rows = [];
for (const isaName of isa.split(","))
  for (const formatId of format.split(",")) {
    const bytes = n * k * bytesPerWeight[formatId];
    const matrices = Math.ceil((megabytes * 1e6) / bytes);
    const shape = { isa: isaName, threads, format: formatId, m, n, k, matrices, sweeps: true };
    const ceilings = [];
    const speeds = [];
    for (let round = 0; round < rounds; ++round) {
      const ceiling = await binding.measureCeilings({ isa: isaName, threads, seconds: 0.5 });
      ceilings.push(ceiling.readGBps);
      for (const seconds of binding.testing.time_matmul({ ...shape, repeats: 3 }).seconds)
        speeds.push((matrices * bytes * 1e-9) / seconds);
    }
    const ceiling = Math.max(...ceilings);
    rows.push({
      isa: isaName,
      format: formatId,
      "best GB/s": Math.max(...speeds).toFixed(1),
      "median GB/s": median(speeds).toFixed(1),
      spread: spread(speeds),
      "read GB/s": ceiling.toFixed(1),
      "best / read": (Math.max(...speeds) / ceiling).toFixed(3),
      "median / median": (median(speeds) / median(ceilings)).toFixed(3),
    });
  }
table(`m = ${m}, cold [${n}, ${k}] matrices in turn, ${cpu.model}, ${threads} threads`, rows);
