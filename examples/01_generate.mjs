// Streams a completion. See engine.mjs for what may stand on the command line.
import { Engine } from "espalier";
import { engineFromArguments } from "./engine.mjs";

const prompt = process.argv[3] ?? "Trees that are trained to grow flat against a wall";

const engine = await Engine.load(await engineFromArguments());
try {
  const generation = engine.generate({ prompt, maxTokens: 64, temperature: 0.7, topP: 0.95, seed: 1 });
  process.stdout.write(prompt);
  for await (const { text } of generation) process.stdout.write(text);

  const { ids, finishReason, ttftMs, totalMs } = await generation.result();
  const perSecond = ((ids.length - 1) * 1000) / (totalMs - ttftMs);
  console.log(
    `\n\n${ids.length} tokens (${finishReason}), first after ${ttftMs.toFixed(0)} ms, then ${perSecond.toFixed(0)} a second`,
  );
} finally {
  await engine.dispose(); // or, where the syntax is known: await using engine = ...
}
