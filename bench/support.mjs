// What benches share: options, medians, tables.

/** Command-line options over defaults; numbers stay numbers. --json prints rows as JSON. */
export function options(defaults) {
  const values = { ...defaults };
  for (let i = 2; i < process.argv.length; ++i) {
    const name = process.argv[i].replace(/^--/, "");
    if (name === "json") continue;
    if (!(name in defaults) || i + 1 === process.argv.length)
      throw new Error(`unknown option ${process.argv[i]}: expected --${Object.keys(defaults).join(", --")}, --json`);
    const text = process.argv[++i];
    values[name] = typeof defaults[name] === "number" ? Number(text) : text;
  }
  return values;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** First and third quartile. */
export function quartiles(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return [0.25, 0.75].map((share) => sorted[Math.round((sorted.length - 1) * share)].toFixed(3)).join(" - ");
}

/** Range relative to the median. */
export function spread(values) {
  return `${(((Math.max(...values) - Math.min(...values)) / median(values)) * 100).toFixed(0)} %`;
}

export function table(title, rows) {
  if (process.argv.includes("--json")) return console.log(JSON.stringify({ title, rows }));
  console.log(title);
  console.table(rows);
}
