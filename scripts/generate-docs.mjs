// Writes the parts of docs/ that come from code: docs/errors.md from src/errors.ts, docs/cli.md from --help.
// `--check` writes nothing and fails when a page is not what it would write. Needs a build.
import { readFileSync, writeFileSync } from "node:fs";
import { errorTable } from "../dist/errors.js";
import { makeProgram } from "../dist/cli/program.js";

function errorsPage() {
  const rows = Object.entries(errorTable).map(([code, { meaning, hint }]) => `| \`${code}\` | ${meaning} | ${hint} |`);
  return [
    "# Errors",
    "",
    "Every error that espalier raises on purpose is an `EspalierError` with a stable `code`, a message that names the file",
    "or argument, what was expected and what came, and a `hint`. This page is generated from `src/errors.ts` by",
    "`npm run docs`; lint fails when the two differ.",
    "",
    "| code | meaning | what to do |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

function cliPage() {
  const program = makeProgram();
  const help = (command) => {
    let text = "";
    command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 100 });
    command.outputHelp();
    return text.trimEnd();
  };
  const leaves = (command, names) =>
    command.commands.length === 0
      ? [{ command, name: [...names, command.name()].join(" ") }]
      : command.commands.flatMap((inner) => leaves(inner, [...names, command.name()]));
  const sections = program.commands
    .flatMap((command) => leaves(command, []))
    .map(({ command, name }) => `## ${name}\n\n\`\`\`text\n${help(command)}\n\`\`\`\n`);
  return [
    "# Command line",
    "",
    "Generated from `espalier --help` by `npm run docs`; lint fails when the two differ. Every verb takes `--json`: one JSON",
    "document on standard output and nothing else there. Progress goes to standard error. Exit codes: 0 done, 1 failed with a",
    "coded error, 2 wrong usage, 130 interrupted.",
    "",
    `\`\`\`text\n${help(program)}\n\`\`\`\n`,
    ...sections,
  ].join("\n");
}

const pages = { "docs/errors.md": errorsPage(), "docs/cli.md": cliPage() };
let stale = 0;
for (const [path, text] of Object.entries(pages)) {
  if (!process.argv.includes("--check")) {
    writeFileSync(path, text);
    continue;
  }
  let found = "";
  try {
    found = readFileSync(path, "utf8");
  } catch {
    // reported as stale below
  }
  if (found === text) continue;
  process.stderr.write(`${path} is not what \`npm run docs\` writes\n`);
  stale += 1;
}
process.exitCode = stale === 0 ? 0 : 1;
