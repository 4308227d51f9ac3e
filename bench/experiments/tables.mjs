// Turns the results of the experiments into the tables of docs/results/minitron.md.
//   node bench/experiments/tables.mjs [--out runs/minitron]
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { options } from "../support.mjs";

const ORDER = ["importance", "aggregators", "losses", "width-depth", "iterative", "blocks", "correction", "hidden"];

const { out } = options({ out: "runs/minitron" });
const folder = join(out, "results");
if (!existsSync(folder)) throw new Error(`${folder}: no results: run an experiment with --out ${out} first`);
const place = (name) => {
  const at = ORDER.findIndex((known) => name.startsWith(known));
  return at < 0 ? ORDER.length : at;
};
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .map((name) => name.slice(0, -5))
  .sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));

for (const name of names)
  for (const { title, rows } of JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")))
    console.log(`### ${name}: ${title}\n\n${markdown(rows)}\n`);
console.log(`### seconds\n\n${markdown(seconds())}`);

function markdown(rows) {
  const heads = Object.keys(rows[0]);
  const lines = [heads, heads.map(() => "---"), ...rows.map((row) => heads.map((head) => text(row[head])))];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function text(value) {
  return Number.isInteger(value) ? value.toLocaleString("en-US") : String(value ?? "");
}

/** How long runs and students took, whatever else the machine did. */
function seconds() {
  return ["students", "runs", "losses", "tasks"]
    .filter((kind) => existsSync(join(folder, kind)))
    .map((kind) => {
      const files = readdirSync(join(folder, kind), { recursive: true }).filter((name) => name.endsWith(".json"));
      const times = files.map((name) => JSON.parse(readFileSync(join(folder, kind, name), "utf8")).seconds);
      const total = times.reduce((sum, time) => sum + time, 0);
      return { what: kind, count: times.length, "seconds in all": Math.round(total) };
    });
}
