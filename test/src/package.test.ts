/** What npm would publish and run. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(__dirname, "../..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  gypfile: boolean;
  scripts: Record<string, string>;
  optionalDependencies?: object;
};

it("has no script that npm runs by itself", () => {
  expect(manifest.gypfile).toBe(false);
  for (const name of ["preinstall", "install", "postinstall", "prepare", "prepublish", "prepack"])
    expect(manifest.scripts).not.toHaveProperty(name);
  // `prebuild` is a task of its own: npm would run it before `build` too.
  expect(readFileSync(join(root, ".npmrc"), "utf8")).toMatch(/^ignore-scripts=true$/m);
});

it("depends on no package that exists only once it is published", () => {
  expect(manifest.optionalDependencies).toBeUndefined();
});

it("packs the compiled files and little else", () => {
  const env = { ...process.env, npm_config_loglevel: "error" };
  const out = execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: root, env }).toString();
  const [{ files: packed, unpackedSize }] = JSON.parse(out) as [{ files: { path: string }[]; unpackedSize: number }];
  const paths = packed.map((file) => file.path);
  expect(paths).toEqual(
    expect.arrayContaining(["LICENSE", "README.md", "dist/index.d.ts", "dist/index.js", "index.cjs"]),
  );
  const others = paths.filter((path) => !/^dist\/.+\.(js|d\.ts)$/.test(path)).sort();
  const [model, rest] = [true, false].map((ofTeacher) =>
    others.filter((path) => path.startsWith("models/teacher/") === ofTeacher),
  );
  const recipes = [
    "chain",
    "generated-data",
    "minitron-depth",
    "minitron-iterative",
    "minitron-search",
    "minitron-width",
    "nemo-tutorial",
    "quantize",
    "quickstart",
  ];
  const examples = recipes.map((name) => `examples/recipes/${name}.yaml`);
  expect(rest).toEqual(["LICENSE", "README.md", ...examples, "index.cjs", "package.json"]);
  const training = ["config.yaml", "curve.html", "make.sh", "recipe.yaml"].map((name) => `training/${name}`);
  const config = ["README.md", "config.json", "espalier.json", "generation_config.json", "held-out.txt"];
  const files = [...config, "model.safetensors", "tokenizer.json", "tokenizer_config.json", ...training];
  expect(model).toEqual(files.map((name) => `models/teacher/${name}`));
  expect(unpackedSize).toBeLessThan(12e6);
});
