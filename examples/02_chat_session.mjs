// A conversation: each turn computes only what is new, because the engine keeps the cache of the earlier ones.
import { Engine } from "espalier";
import { engineFromArguments } from "./engine.mjs";

const questions = ["What is an espalier?", "Which fruit trees suit it?", "Say that in one short sentence."];

const engine = await Engine.load(await engineFromArguments());
try {
  const session = engine.createSession({ system: "You answer briefly." });
  for (const question of questions) {
    console.log(`\n> ${question}`);
    const answer = session.chat(question, { maxTokens: 80, temperature: 0 });
    for await (const { text } of answer) process.stdout.write(text);

    const { promptIds, reusedTokens, ttftMs } = await answer.result();
    console.log(
      `\n  (${promptIds.length} prompt tokens, ${reusedTokens} of them reused, first token after ${ttftMs.toFixed(0)} ms)`,
    );
  }
} finally {
  await engine.dispose();
}
