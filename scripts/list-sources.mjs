// Prints the native sources of one group, for binding.gyp: an ISA suffix such as `avx2`, `napi`, `standalone` or `core`.
// A source belongs to the ISA its name ends with (matmul_avx2.cpp), else to napi or standalone by folder, else to core.
import { readdirSync } from "node:fs";
import { join } from "node:path";

const ISA_SUFFIXES = ["avx2", "avx512", "avx512_bf16"];
const SKIPPED_FOLDERS = new Set(["cuda", "tensorrt"]);

function* walk(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!SKIPPED_FOLDERS.has(entry.name)) yield* walk(path);
    } else if (entry.name.endsWith(".cpp")) yield path;
  }
}

function groupOf(path) {
  const found = ISA_SUFFIXES.filter((isa) => path.endsWith(`_${isa}.cpp`)).sort((a, b) => b.length - a.length);
  const folder = ["napi", "standalone"].find((name) => path.startsWith(join("native", name)));
  return found[0] ?? folder ?? "core";
}

const group = process.argv[2];
for (const path of [...walk("native")].sort()) if (groupOf(path) === group) console.log(path);
