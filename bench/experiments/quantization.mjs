// What each number format costs in perplexity: the model is quantized, built as it is and scored on a text, window by window.
// Static schemes are left out without --calibration TEXT, on which their inputs are measured.
// Every figure is kept in OUT, so that a run that was stopped goes on; the table is printed as far as it is known.
//   node bench/experiments/quantization.mjs --model models/teacher --text models/teacher/held-out.txt --out runs/quantization
//   node bench/experiments/quantization.mjs --model SmolLM2-135M-Instruct.Q4_1.gguf --group 64
//     --text wikitext-2-raw.test.txt [--windows 512] [--only "w8a8;nf4, double-quantized"] --out runs/quantization-smollm2
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildEngine, Engine, evaluatePerplexity, quantize } from "../../dist/index.js";
import { options } from "../support.mjs";

const WINDOW = 512;
const chosen = options({
  model: "models/teacher",
  text: "",
  calibration: "",
  out: "runs/quantization",
  windows: 512,
  group: 128,
  only: "",
});
const { model, text, calibration, out, windows, group } = chosen;
const groups = { groupSize: group };

// `scheme` for quantize and its options; or `weights` of an engine of the unquantized model; `load`: options of the load.
// Up to 8 rows at once take the kernels of decoding, whose inputs are int8 in groups.
const decode = { prefillChunk: 8, maxSequences: 1 };
const ROWS = [
  { name: "f32", weights: "f32" },
  { name: "w8a8", scheme: "w8a8", target: 1 },
  { name: "w8a8, down_proj w8a16", scheme: "w8a8", overrides: { "*.down_proj": "w8a16" } },
  { name: "w8a8-static", scheme: "w8a8-static", calibration },
  {
    name: "w8a8-static, down_proj w8a8",
    scheme: "w8a8-static",
    calibration,
    overrides: { "*.down_proj": "w8a8" },
  },
  { name: "w8a8, rotated", scheme: "w8a8", rotate: true, target: 1 },
  { name: "w8a8, rotated, down_proj w8a16", scheme: "w8a8", rotate: true, overrides: { "*.down_proj": "w8a16" } },
  { name: "nf4, rotated", scheme: "nf4", rotate: true },
  { name: `w4a16, group ${group}, rotated`, scheme: "w4a16", ...groups, rotate: true },
  { name: "int8-w8a8, rotated (build)", weights: "int8-w8a8", target: 1 },
  { name: "fp8-dynamic", scheme: "fp8-dynamic", target: 1.5 },
  { name: "fp8-static", scheme: "fp8-static", calibration },
  { name: "nf4, double-quantized", scheme: "nf4", doubleQuant: true },
  { name: "nf4", scheme: "nf4" },
  { name: `w4a16, group ${group}`, scheme: "w4a16", ...groups },
  { name: `w4a16, group ${group}, asymmetric`, scheme: "w4a16", ...groups, asymmetric: true },
  { name: `w4a16, group ${group}, HQQ`, scheme: "w4a16", ...groups, method: "hqq" },
  {
    name: `w4a16, group ${group}, HQQ, zero points not rounded (simulated)`,
    scheme: "w4a16",
    ...groups,
    method: "hqq",
    simulate: true,
  },
  { name: `w4a16, group ${group}, MSE`, scheme: "w4a16", ...groups, method: "mse" },
  { name: "KV int8", weights: "f32", load: { kvDtype: "int8" }, target: 0.3 },
  { name: "KV fp8", weights: "f32", load: { kvDtype: "fp8" } },
  { name: "w8a16", scheme: "w8a16" },
  { name: "fp8", scheme: "fp8" },
  { name: "fp8-block", scheme: "fp8-block" },
  { name: "fp4", scheme: "fp4" },
  { name: "mxfp8", scheme: "mxfp8" },
  { name: "mxfp4", scheme: "mxfp4" },
  { name: "nvfp4", scheme: "nvfp4" },
  { name: "nf4, kernels of decoding", scheme: "nf4", load: decode },
  { name: `w4a16, group ${group}, kernels of decoding`, scheme: "w4a16", ...groups, load: decode },
];

mkdirSync(out, { recursive: true });
const possible = ROWS.filter((row) => row.calibration !== "");
const wanted = chosen.only === "" ? possible : possible.filter(({ name }) => chosen.only.split(";").includes(name));
const known = {};
for (const row of wanted) known[row.name] = await keep(row.name, () => measure(row));
print();

async function measure({ weights, load = {}, name: _name, target: _target, ...scheme }) {
  const quantized = join(out, "model"),
    engine = join(out, "engine");
  for (const place of [quantized, engine]) rmSync(place, { recursive: true, force: true });
  let figures = {};
  if (scheme.scheme !== undefined) {
    const made = await quantize({ model, ...scheme, out: quantized });
    const errors = made.weights.map(({ relativeError }) => relativeError);
    figures = { meanError: errors.reduce((sum, error) => sum + error, 0) / errors.length, bytes: made.weightBytes };
  }
  const floats = scheme.scheme === undefined || scheme.simulate === true ? { weights: weights ?? "f32" } : {};
  await buildEngine(scheme.scheme === undefined ? model : quantized, engine, floats);
  const loaded = await Engine.load(engine, { contextTokens: WINDOW, ...load });
  try {
    const report = await evaluatePerplexity(loaded, { file: text, window: WINDOW, maxTokens: windows * WINDOW });
    return { ...figures, perplexity: report.perplexity, windows: report.windows };
  } finally {
    await loaded.dispose();
    for (const place of [quantized, engine]) rmSync(place, { recursive: true, force: true });
  }
}

async function keep(name, make) {
  const path = join(out, `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.json`);
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8"));
  process.stderr.write(`${name} ...\n`);
  const value = await make();
  writeFileSync(path, JSON.stringify(value));
  return value;
}

function print() {
  const base = known["f32"]?.perplexity;
  console.log(
    "| format | perplexity | against f32 | target | mean error of weights |\n| --- | --- | --- | --- | --- |",
  );
  for (const { name, target } of wanted) {
    const { perplexity, meanError } = known[name];
    const change = base === undefined ? "" : `${(100 * (perplexity / base - 1)).toFixed(2)} %`;
    const error = meanError === undefined ? "" : `${(100 * meanError).toFixed(2)} %`;
    console.log(
      `| ${name} | ${perplexity.toFixed(4)} | ${change} | ${target === undefined ? "" : `+${target} %`} | ${error} |`,
    );
  }
  console.log(`\n${known[wanted[0].name].windows} windows of ${WINDOW} tokens of ${text}`);
}
