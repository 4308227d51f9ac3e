// Prints the native sources of one group, for binding.gyp: `base`, or an ISA suffix such as `avx2`.
// A source belongs to the ISA its name ends with (matmul_avx2.cpp); all others are `base`.
import { readdirSync } from "node:fs";
import { join } from "node:path";

const ISA_SUFFIXES = ["avx2", "avx512", "avx512_bf16"];
const SKIPPED_FOLDERS = new Set(["cuda", "tensorrt", "standalone"]);

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
  return found[0] ?? "base";
}

const group = process.argv[2];
const folder = process.argv[3] ?? "native";
for (const path of [...walk(folder)].sort()) if (groupOf(path) === group) console.log(path);
