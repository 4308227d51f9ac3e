/** After quantize: engines hold the codes as they are, recipes have the step, the report measures both models. */
import { existsSync, mkdirSync, readFileSync, statSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openWhole, readTensor } from "../../../src/checkpoint/index.js";
import { buildEngine, Engine } from "../../../src/engine/index.js";
import { quantize, type QuantizeOptions } from "../../../src/quantize/index.js";
import { compress } from "../../../src/recipe/index.js";
import { coded, type Json } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "../cli/run.js";
import { writeModel } from "../prune/fixtures.js";
import { checkMarkup } from "../report/check-markup.js";
import { quantizableConfig, readJson } from "./fixtures.js";

const root = temporaryDirectory();
const model = writeModel(join(root, "model"), quantizableConfig);
const teacher = join(__dirname, "../../../models/teacher");
const text = join(teacher, "held-out.txt");
const [short, latin] = [join(root, "short.txt"), join(root, "latin.txt")];
writeFileSync(short, "Call me Ishmael.");
writeFileSync(latin, Buffer.from([0x63, 0xe9]));
let count = 0;
const fresh = (): string => join(root, `q${count++}`);

async function make(options: Partial<QuantizeOptions>): Promise<string> {
  const out = fresh();
  await quantize({ model, scheme: "w8a8", ...options, out });
  return out;
}

const formatsOf = (engine: string): Record<string, string> =>
  Object.fromEntries(
    (readJson(engine, "engine.json")["tensors"] as Json[])
      .filter(({ part, layer }) => part === "weight" && (layer === undefined || layer === 0))
      .map(({ role, format }) => [role as string, format as string]),
  );

describe("build", () => {
  it.each([
    ["w8a8", {}, "int8-w8a8"],
    ["w8a16", {}, "int8"],
    ["w8a16", { groupSize: 64, asymmetric: true }, "int8-g64-asym"],
    ["w4a16", {}, "int4-g128"],
    ["w4a16", { groupSize: 32, asymmetric: true }, "int4-g32-asym"],
    ["fp8-dynamic", {}, "fp8_e4m3-w8a8"],
    ["fp8-block", {}, "fp8_e4m3-g128-w8a8"],
    ["fp8", {}, "fp8_e4m3"],
    ["nf4", { doubleQuant: true }, "nf4"],
    ["fp4", {}, "fp4"],
    ["mxfp4", {}, "mxfp4"],
    ["mxfp8", {}, "mxfp8"],
  ])("%s %j is packed as it is: %s", async (scheme, options, format) => {
    const out = await make({ scheme, ...options });
    const engine = fresh();
    const { dequantized } = await buildEngine(out, engine);
    expect(formatsOf(engine)).toMatchObject({ down_proj: format, embed_tokens: "f32", lm_head: "f32" });
    expect(dequantized).toEqual([]);
    await using loaded = await Engine.load(engine);
    expect((await loaded.logits([1, 2, 3])).flatMap((row) => Array.from(row)).every(Number.isFinite)).toBe(true);
  });

  it("--weights is for the rest, overrides for floats, and nothing is quantized twice", async () => {
    const out = await make({ scheme: "w4a16", exclude: ["*.down_proj"] });
    const engine = fresh();
    const overrides = { "*.o_proj.weight": "bf16" };
    await buildEngine(out, engine, { weights: "int8", overrides });
    // One group of 128 is the row of 128.
    expect(formatsOf(engine)).toMatchObject({
      q_proj: "int4",
      down_proj: "int8",
      o_proj: "bf16",
      embed_tokens: "int8",
    });
    await expect(buildEngine(out, fresh(), { overrides: { "*.q_proj*": "int8" } })).rejects.toThrow(
      coded("ERR_WEIGHT_FORMAT", "q_proj", "quantized already", "found int8"),
    );
    await expect(buildEngine(out, fresh(), { rotation: true })).rejects.toThrow(coded("ERR_ARGUMENT", "rotation"));
  });

  it("an engine keeps keys and values as the model says", async () => {
    const engine = fresh();
    await buildEngine(await make({ kvCache: "int8" }), engine);
    expect(readJson(engine, "engine.json")["kvCache"]).toMatchObject({ dtype: "int8" });
  });

  it("export writes the values of the codes as floats", async () => {
    const out = await make({ scheme: "nf4" });
    const floats = fresh();
    expect(await espalier(["export", out, "--out", floats, "--dtype", "f32"])).toMatchObject({ status: 0 });
    expect(readJson(floats, "config.json")["quantization_config"] ?? null).toBeNull();
    await using before = await openWhole(out);
    await using after = await openWhole(floats);
    for (const [name, tensor] of before.tensors)
      expect(await readTensor(after.tensors.get(name)!)).toEqual(await readTensor(tensor));
  });
});

it("a recipe's step, and the one among the examples", async () => {
  const path = join(root, "recipe.yaml");
  const steps = [
    `  codes:\n    quantize: { model: ${JSON.stringify(model)}, scheme: w4a16, group_size: 64, overrides: { "*.down_proj": w8a16 } }`,
    "  engine:\n    build: { model: $codes }",
  ];
  writeFileSync(path, `title: Codes\nsteps:\n${steps.join("\n")}\n`);
  const run = fresh();
  await compress({ recipe: path, out: run });
  expect(formatsOf(join(run, "engine"))).toMatchObject({ q_proj: "int4-g64", down_proj: "int8-g64" });
  writeFileSync(path, readFileSync(path, "utf8").replace("w4a16", "w4a17"));
  await expect(compress({ recipe: path, out: run })).rejects.toThrow(
    coded("ERR_ARGUMENT", "recipe.yaml:4", '"codes"', "w4a17"),
  );
  const example = join(__dirname, "../../../examples/recipes/quantize.yaml");
  expect(await espalier(["compress", example, "--out", fresh(), "--dry-run"])).toMatchObject({ status: 0 });
});

describe("report", () => {
  it("size, perplexity and speed against the source; the engines go", async () => {
    const [out, page] = [fresh(), join(root, "page.html")];
    const args = ["quantize", teacher, "--scheme", "w4a16", "--out", out, "--report", page];
    const { status, stdout } = await espalier([...args, "--perplexity", text, "--max-tokens", "2048", "--json"]);
    expect(status).toBe(0);
    const { measured } = JSON.parse(stdout) as { measured: { source: Json; quantized: Json } };
    const perplexityOf = (side: Json): number => (side["perplexity"] as { perplexity: number }).perplexity;
    const ratio = perplexityOf(measured.quantized) / perplexityOf(measured.source);
    expect(ratio).toBeGreaterThan(1);
    expect(ratio).toBeLessThan(1.1);
    expect(measured.quantized["engineBytes"]).toBeLessThan(0.45 * (measured.source["engineBytes"] as number));
    expect(measured.quantized["decodeTokensPerSecond"]).toBeGreaterThan(0);
    const html = readFileSync(page, "utf8");
    checkMarkup(html);
    for (const words of ["teacher in w4a16", "Quality", "What rounding did to the weights", "Speed", "espalier bench"])
      expect(html).toContain(words);
    expect(readdirSync(root).filter((name) => name.startsWith("."))).toEqual([]);
    expect(readJson(out, "espalier.json")["options"]).not.toHaveProperty("report");
  });

  it.each([
    [{ perplexity: text }, "ERR_ARGUMENT", "perplexity: expected it with report alone"],
    [{ report: "page.html", maxTokens: 100 }, "ERR_ARGUMENT", "maxTokens: expected it with perplexity alone"],
    [{ report: "page.html", dryRun: true }, "ERR_ARGUMENT", "report: a dry run makes nothing to measure"],
    [{ report: join(root, "nowhere/page.html") }, "ERR_FILE_WRITE", "report: "],
    [{ report: join(text, "page.html") }, "ERR_FILE_WRITE", "report: "],
    [{ report: "page.html", perplexity: "/nowhere.txt" }, "ERR_FILE_READ", "/nowhere.txt"],
    [{ report: "page.html", perplexity: root }, "ERR_ARGUMENT", "perplexity: expected a text file"],
    [{ report: "page.html", perplexity: text }, "ERR_ARGUMENT", "has no tokenizer"],
    [{ model: teacher, report: "page.html", perplexity: text, maxTokens: 100 }, "ERR_TEXT_TOO_SHORT", "512 tokens"],
    [{ model: teacher, report: "page.html", perplexity: short }, "ERR_TEXT_TOO_SHORT", "short.txt: expected at least"],
    [{ model: teacher, report: "page.html", perplexity: latin }, "ERR_FILE_READ", "expected UTF-8 text"],
  ] as const)("%j is refused before anything is done", async (options, code, words) => {
    const out = fresh();
    await expect(quantize({ model, scheme: "w8a8", ...options, out })).rejects.toThrow(coded(code, words));
    expect(existsSync(out)).toBe(false);
  });

  it("the model stays when measuring it is stopped or fails", async () => {
    const [out, controller] = [fresh(), new AbortController()];
    const options = { model: teacher, scheme: "w8a8", out, report: join(root, "never.html") };
    const hooks = { signal: controller.signal, onMeasure: (): void => controller.abort() };
    await expect(quantize(options, hooks)).rejects.toThrow(coded("ERR_ABORTED", out, "its report was not made"));
    expect(existsSync(options.report)).toBe(false);
    expect(readdirSync(root).filter((name) => name.startsWith("."))).toEqual([]);
    await using checkpoint = await openWhole(out);
    expect(checkpoint.tensors.size).toBeGreaterThan(0);
  });

  it("the same call measures a model that is there already; another is refused", async () => {
    const [out, page] = [fresh(), `${fresh()}.html`];
    const options = { model: teacher, scheme: "w8a8", out };
    const first = await quantize(options);
    const before = statSync(join(out, "model.safetensors")).mtimeMs;
    await expect(quantize(options)).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", out));
    await expect(quantize({ ...options, scheme: "w8a16", report: page })).rejects.toThrow(
      coded("ERR_OUTPUT_EXISTS", out),
    );
    expect(existsSync(page)).toBe(false);
    const { measured, ...again } = await quantize({ ...options, report: page });
    expect(again.weights).toEqual(first.weights);
    expect([again.files, again.weightBytes]).toEqual([first.files, first.weightBytes]);
    expect(measured?.quantized.decodeTokensPerSecond).toBeGreaterThan(0);
    expect(existsSync(page)).toBe(true);
    expect(statSync(join(out, "model.safetensors")).mtimeMs).toBe(before);
  });

  it("a page that cannot be written is refused first, and nothing but a page is replaced", async () => {
    const [other, directory, out] = [join(root, "other.txt"), join(root, "folder.html"), fresh()];
    writeFileSync(other, "precious");
    mkdirSync(directory);
    const args = ["quantize", model, "--scheme", "w8a8", "--out", out, "--report"];
    expect(await espalier([...args, other])).toMatchObject({
      stderr: expect.stringContaining("ERR_OUTPUT_EXISTS") as string,
    });
    expect(await espalier([...args, directory])).toMatchObject({
      stderr: expect.stringContaining("ERR_FILE_WRITE") as string,
    });
    expect(readFileSync(other, "utf8")).toBe("precious");
    expect(existsSync(out)).toBe(false);
  });
});
