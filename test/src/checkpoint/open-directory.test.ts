import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkTensors, openCheckpoint, readTensor } from "../../../src/checkpoint/index.js";
import { coded, safetensorsBytes, tinyConfig, tinyTensors, writeTinyDirectory, type Json } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const root = temporaryDirectory();
let count = 0;
const fresh = (): string => join(root, `m${count++}`);

/** A model in two shards, with an index that the test may change. */
function sharded(change: (weightMap: Record<string, string>, directory: string) => void = () => {}): string {
  const directory = fresh();
  mkdirSync(directory);
  writeFileSync(join(directory, "config.json"), JSON.stringify(tinyConfig));
  const tensors = tinyTensors();
  const weightMap: Record<string, string> = {};
  for (const [i, part] of [tensors.slice(0, 4), tensors.slice(4)].entries()) {
    const file = `model-0000${i + 1}-of-00002.safetensors`;
    writeFileSync(join(directory, file), safetensorsBytes(part));
    for (const tensor of part) weightMap[tensor.name] = file;
  }
  change(weightMap, directory);
  writeFileSync(
    join(directory, "model.safetensors.index.json"),
    JSON.stringify({ metadata: {}, weight_map: weightMap }),
  );
  return directory;
}

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

describe("openCheckpoint of a directory", () => {
  it("opens one file, shards, a .safetensors path and links", async () => {
    const single = writeTinyDirectory(fresh());
    const linked = fresh();
    mkdirSync(linked);
    for (const name of readdirSync(single)) symlinkSync(join(single, name), join(linked, name));
    for (const path of [single, sharded(), join(single, "model.safetensors"), linked]) {
      await using checkpoint = await openCheckpoint(path);
      checkTensors(checkpoint);
      for (const { name, bytes } of tinyTensors())
        expect(Buffer.from((await readTensor(checkpoint.tensors.get(name)!)).buffer).equals(bytes)).toBe(true);
    }
  });

  it("reads the tokenizer's files, leaving the large one to its path", async () => {
    const directory = writeTinyDirectory(fresh());
    const write = (name: string, content: string): void => writeFileSync(join(directory, name), content);
    write("tokenizer.json", "{}");
    write("tokenizer_config.json", '{"tokenizer_class":"X"}');
    write("generation_config.json", '{"eos_token_id":[4,5]}');
    write("chat_template.jinja", "{{ x }}");
    await using checkpoint = await openCheckpoint(directory);
    expect(checkpoint.tokenizerFiles).toEqual({
      tokenizerJson: join(directory, "tokenizer.json"),
      tokenizerConfig: { tokenizer_class: "X" },
      generationConfig: { eos_token_id: [4, 5] },
      chatTemplate: "{{ x }}",
      others: [join(directory, "chat_template.jinja")],
    });
    expect(checkpoint.spec.eosTokenIds).toEqual([4, 5]);
  });

  it("finds a tied embedding under the head's name, with or without a note", async () => {
    const tensors = tinyTensors().map((tensor) =>
      tensor.name === "model.embed_tokens.weight" ? { ...tensor, name: "lm_head.weight" } : tensor,
    );
    const directory = writeTinyDirectory(fresh());
    writeFileSync(join(directory, "model.safetensors"), safetensorsBytes(tensors));
    await using checkpoint = await openCheckpoint(directory);
    checkTensors(checkpoint);
    expect(checkpoint.tensors.get("model.embed_tokens.weight")).toMatchObject({ sourceName: "lm_head.weight" });
  });

  it("closes what it opened when it fails", async () => {
    const directory = sharded((map, path) => writeFileSync(join(path, Object.values(map).at(-1)!), "broken"));
    await expect(openCheckpoint(directory)).rejects.toThrow(coded("ERR_FILE_TRUNCATED"));
    const before = openDescriptors();
    await expect(openCheckpoint(directory)).rejects.toThrow(coded("ERR_FILE_TRUNCATED"));
    expect(openDescriptors()).toBe(before);
  });
});

const name = "model.norm.weight";
const refused: [string, () => string, string, string[]][] = [
  ["nothing", () => join(root, "nowhere"), "ERR_MODEL_NOT_FOUND", ["nowhere"]],
  [
    "an empty directory",
    () => (mkdirSync(join(root, "empty")), join(root, "empty")),
    "ERR_MODEL_NOT_FOUND",
    ["config.json"],
  ],
  [
    "a directory without weights",
    () => without("model.safetensors"),
    "ERR_MODEL_NOT_FOUND",
    ["model.safetensors.index.json"],
  ],
  ["a directory without config", () => without("config.json"), "ERR_MODEL_NOT_FOUND", ["config.json"]],
  ["a file without config", () => join(without("config.json"), "model.safetensors"), "ERR_MODEL_NOT_FOUND", ["beside"]],
  ["another file", () => join(writeTinyDirectory(fresh()), "config.json"), "ERR_MODEL_NOT_FOUND", [".gguf"]],
  ["a config that is no JSON", () => withConfig("{"), "ERR_JSON", ["config.json"]],
  ["a config that is an array", () => withConfig("[]"), "ERR_JSON", ["config.json", "array"]],
  ["a config with a key twice", () => withConfig('{"a":1,"a":2}'), "ERR_JSON", ['"a"', "twice"]],
  [
    "a missing shard",
    () => sharded((map, path) => rmSync(join(path, map[name]!))),
    "ERR_CHECKPOINT_INDEX",
    ["00002-of-00002", "missing"],
  ],
  [
    "a tensor in another shard",
    () => sharded((map) => (map[name] = "model-00001-of-00002.safetensors")),
    "ERR_CHECKPOINT_INDEX",
    [name, "00001"],
  ],
  ["a tensor in no shard", () => sharded((map) => (map["x"] = map[name]!)), "ERR_CHECKPOINT_INDEX", ['"x"']],
  [
    "a way out",
    () => sharded((map) => (map[name] = "../m0/model.safetensors")),
    "ERR_CHECKPOINT_INDEX",
    [name, "../m0"],
  ],
  ["an absolute path", () => sharded((map) => (map[name] = "/etc/x.safetensors")), "ERR_CHECKPOINT_INDEX", ["/etc/x"]],
  [
    "another kind of file",
    () => sharded((map) => (map[name] = "config.json")),
    "ERR_CHECKPOINT_INDEX",
    ["config.json"],
  ],
  [
    "an empty index",
    () => sharded((map) => Object.keys(map).forEach((key) => delete map[key])),
    "ERR_CHECKPOINT_INDEX",
    ["at least one"],
  ],
  ["a tensor in two shards", twice, "ERR_CHECKPOINT_INDEX", ["v_proj", "00001", "again", "00002"]],
];

function without(file: string): string {
  const directory = writeTinyDirectory(fresh());
  rmSync(join(directory, file));
  return directory;
}

function withConfig(text: string): string {
  const directory = writeTinyDirectory(fresh());
  writeFileSync(join(directory, "config.json"), text);
  return directory;
}

function twice(): string {
  return sharded((map, path) =>
    writeFileSync(join(path, map["model.embed_tokens.weight"]!), safetensorsBytes(tinyTensors())),
  );
}

it.each(refused)("refuses %s", async (_, make, code, parts) => {
  await expect(openCheckpoint(make())).rejects.toThrow(coded(code, ...parts));
  expect(existsSync(root)).toBe(true);
});

describe("checkTensors", () => {
  const check = async (
    change: (tensors: ReturnType<typeof tinyTensors>) => typeof tensors,
    config: Json = tinyConfig,
  ): Promise<void> => {
    const directory = writeTinyDirectory(fresh(), config);
    writeFileSync(join(directory, "model.safetensors"), safetensorsBytes(change(tinyTensors())));
    await using checkpoint = await openCheckpoint(directory);
    checkTensors(checkpoint);
  };
  const extra = (tensorName: string) => (tensors: ReturnType<typeof tinyTensors>) => [
    ...tensors,
    { name: tensorName, dtype: "F32", shape: [4], bytes: Buffer.alloc(16) },
  ];

  it("tolerates what is known to be harmless", async () => {
    await check(extra("model.layers.0.self_attn.rotary_emb.inv_freq"));
  });

  it("names missing tensors", async () => {
    await expect(check((tensors) => tensors.slice(0, -2))).rejects.toThrow(
      coded("ERR_CHECKPOINT_TENSORS", "2 tensors missing", "model.norm.weight"),
    );
  });

  it("names unexpected tensors, biases the config does not speak of among them", async () => {
    const bias = "model.layers.0.self_attn.q_proj.bias";
    await expect(check(extra(bias))).rejects.toThrow(coded("ERR_CHECKPOINT_TENSORS", "1 tensors", bias));
    await expect(check(extra("model.layers.1.mlp.up_proj.weight"))).rejects.toThrow(coded("ERR_CHECKPOINT_TENSORS"));
  });

  it("compares shapes", async () => {
    await expect(check((tensors) => tensors, { ...tinyConfig, vocab_size: 33 })).rejects.toThrow(
      coded("ERR_SHAPE", "model.embed_tokens.weight", "expected [33, 32], found [32, 32]"),
    );
    const flat = (tensors: ReturnType<typeof tinyTensors>): typeof tensors =>
      tensors.map((tensor, i) => (i === 0 ? { ...tensor, shape: [1024] } : tensor));
    await expect(check(flat)).rejects.toThrow(coded("ERR_SHAPE", "[1024]"));
  });

  it("refuses types that are no weights", async () => {
    const integers = (tensors: ReturnType<typeof tinyTensors>): typeof tensors =>
      tensors.map((tensor, i) => (i === 3 ? { ...tensor, dtype: "I32" } : tensor));
    await expect(check(integers)).rejects.toThrow(coded("ERR_TENSOR_DTYPE", "k_proj", "i32", "bf16"));
  });
});
