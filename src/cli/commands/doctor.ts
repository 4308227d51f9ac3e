/** espalier doctor: what this machine has. */
import type { Command } from "commander";
import { diagnose, type Diagnosis } from "../../doctor.js";
import { formatBytes } from "../format.js";
import { action } from "../run-command.js";

export function register(program: Command): void {
  const command = program
    .command("doctor")
    .description("show CPU features, threads, memory and backends, and where each was found or why not")
    .addHelpText("after", "\nExample:\n  espalier doctor --json");
  action(command, async () => {
    const diagnosis = await diagnose();
    return { json: diagnosis, text: describe(diagnosis) };
  });
}

function describe(found: Diagnosis): string {
  const rows: [string, string][] = [
    ["espalier", `${found.version}, addon ${found.addon}`],
    ["node", `${found.node} on ${found.platform}`],
    ["cpu", `${found.cpu.model}, ${found.cpu.physicalCores} cores, ${found.cpu.threads} threads used`],
    ["isa", `${found.cpu.isa} (this machine runs ${found.cpu.isas.join(", ")})`],
    ["memory", `${formatBytes(found.memory.totalBytes)}, ${formatBytes(found.memory.freeBytes)} free`],
    ["formats", found.weightFormats.join(", ")],
    ...found.backends.map((row): [string, string] => [row.name, `${row.usable ? "usable" : "not usable"}: ${row.why}`]),
    ["cache", found.cache],
  ];
  return rows.map(([name, value]) => `${name.padEnd(10)} ${value}`).join("\n");
}
