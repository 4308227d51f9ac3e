// How fast weights become codes: f32 read and codes written, as a share of the copy bandwidth measured in the same rounds.
//   node bench/quantize.mjs [--rows 4096 --cols 4096 --rounds 5 --threads 2 --isa avx2,avx512] [--json]
import { binding } from "../dist/binding.js";
import { median, options, quartiles, table } from "./support.mjs";

const cpu = binding.cpuInfo();
const chosen = options({
  rows: 4096,
  cols: 4096,
  rounds: 5,
  threads: cpu.threads,
  isa: cpu.isas.filter((name) => name === "avx2" || name === "avx512").join(","),
});
const { rows, cols, rounds, threads } = chosen;
const formats = binding.numberFormats().map(({ id }) => id);
const MATRICES = 5; // 320 MB: more than caches hold

for (const isa of chosen.isa.split(",")) {
  const shares = new Map(formats.map((format) => [format, []]));
  const copies = [];
  for (let round = 0; round < rounds; ++round) {
    const { copyGBps } = await binding.measureCeilings({ isa, threads, seconds: 0.5 });
    copies.push(copyGBps);
    for (const format of formats) {
      const call = { isa, threads, format, rows, cols, matrices: MATRICES, repeats: 6 };
      const { seconds, bytes } = binding.testing.time_quantize(call);
      shares.get(format).push(bytes / median([...seconds.subarray(1)]) / 1e9 / copyGBps);
    }
  }
  const title = `${cpu.model}, ${isa}, ${threads} threads, [${rows}, ${cols}], copy ${median(copies).toFixed(1)} GB/s`;
  table(
    title,
    formats.map((format) => ({
      format,
      "of copy": median(shares.get(format)).toFixed(2),
      quartiles: quartiles(shares.get(format)),
      "G weights/s": ((median(shares.get(format)) * median(copies)) / 5).toFixed(2),
    })),
  );
}
