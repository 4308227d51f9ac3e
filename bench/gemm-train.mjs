// How close do the products of a training step come to what the machine can do, next to the packed product of
// inference? Each takes turns with a burst of the f32 ceiling as long as itself; the median of the ratios counts.
//   node bench/gemm-train.mjs [--rounds 30] [--threads 2] [--isa avx512] [--shape smollm2]
import { binding } from "../dist/binding.js";
import { median, options, quartiles, table } from "./support.mjs";

const cpu = binding.cpuInfo();
const { rounds, threads, isa, shape } = options({
  rounds: 30,
  threads: cpu.threads,
  isa: cpu.isas.findLast((name) => name === "avx512" || name === "avx2"),
  shape: "smollm2,small",
});

/** Tokens of a micro batch, and linear layers as [name, inputs, outputs]. */
const models = {
  smollm2: {
    tokens: 512,
    layers: [
      ["q_proj", 576, 576],
      ["k_proj", 576, 192],
      ["gate_proj", 576, 1536],
      ["down_proj", 1536, 576],
      ["lm_head", 576, 49152],
    ],
  },
  small: {
    tokens: 4096,
    layers: [
      ["q_proj", 256, 256],
      ["gate_proj", 256, 1600],
      ["down_proj", 1600, 256],
      ["lm_head", 256, 2048],
    ],
  },
};

/** The three products of a linear layer's step, as gemm takes them. */
function products(tokens, inputs, outputs) {
  return {
    "Y = X Wᵀ": { m: tokens, n: outputs, k: inputs, transposeB: true },
    "dX = dY W": { m: tokens, n: inputs, k: outputs },
    "dW += dYᵀ X": { m: outputs, n: inputs, k: tokens, transposeA: true, beta: 1 },
  };
}

/** Median and quartiles of speed / ceiling, the first round left out. */
function ratioOf(times, work) {
  const ratios = [...times.seconds.subarray(1)].map((seconds, round) => work / seconds / times.ceiling[round + 1]);
  return { ratios, speed: work / median([...times.seconds.subarray(1)]) };
}

for (const name of shape.split(",")) {
  const { tokens, layers } = models[name];
  const rows = [];
  for (const [layer, inputs, outputs] of layers) {
    const work = 2e-9 * tokens * inputs * outputs;
    const common = { isa, threads, ceiling: "f32", repeats: (work > 5 ? Math.ceil(rounds / 5) : rounds) + 1 };
    const packed = { ...common, format: "f32", m: tokens, n: outputs, k: inputs };
    const add = (product, times) => {
      const { ratios, speed } = ratioOf(times, work);
      rows.push({
        layer,
        product,
        "median GFLOP/s": speed.toFixed(0),
        "speed / ceiling": median(ratios).toFixed(3),
        quartiles: quartiles(ratios),
      });
    };
    add("packed W", binding.testing.time_matmul(packed));
    for (const [product, call] of Object.entries(products(tokens, inputs, outputs)))
      add(product, binding.testing.time_gemm({ ...common, ...call }));
  }
  table(`training products, ${name}, ${tokens} tokens, ${cpu.model}, ${isa}, ${threads} threads`, rows);
}
