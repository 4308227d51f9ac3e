/** What is dropped, and what counts as a duplicate. */
import { resolveSynthesizeOptions, type SynthesizeOptions } from "../../../src/synthesize/index.js";
import { Deduplicator, signatureOf, similarityOf, wordsOf } from "../../../src/synthesize/dedupe.js";
import { dropReasonOf, repetitionOf, type GeneratedText } from "../../../src/synthesize/filter.js";
import { coded } from "../../model-files.js";

const good: GeneratedText = {
  text: "A text of some length.",
  ids: Array.from({ length: 20 }, (_, i) => i),
  finished: true,
  meanLogprob: -2,
};
const base = { count: 1, out: "o" };

function reasonOf(change: Partial<GeneratedText>, options: Partial<SynthesizeOptions> = {}): string | null {
  return dropReasonOf({ ...good, ...change }, resolveSynthesizeOptions({ ...base, ...options }));
}

describe("the filter", () => {
  it.each([
    [{}, {}, null],
    [{ text: " \n" }, {}, "empty"],
    [{ ids: good.ids.slice(0, 15) }, {}, "short"],
    [{ ids: good.ids.slice(0, 15) }, { minTokens: 15 }, null],
    [{ finished: false }, {}, null],
    [{ finished: false }, { unfinished: "drop" }, "unfinished"],
    [{ finished: false }, { format: "sft", seeds: "s" }, "unfinished"],
    [{ finished: false }, { format: "sft", seeds: "s", unfinished: "keep" }, null],
    [{ text: "torn \ufffd in the middle" }, {}, "broken"],
    [{ ids: [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4] }, {}, "repetition"],
    [{ ids: [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4] }, { maxRepetition: 0.8 }, null],
    [{ meanLogprob: -5 }, { minLogprob: -4.5 }, "logprob"],
    [{ meanLogprob: -0.1 }, { maxLogprob: -0.2 }, "logprob"],
    [{ meanLogprob: -1 }, { minLogprob: -4.5, maxLogprob: -0.2 }, null],
  ] as const)("%j with %j: %s", (change, options, reason) => {
    expect(reasonOf(change, options)).toBe(reason);
  });

  it("counts runs of four tokens that were there before", () => {
    expect(repetitionOf([1, 2, 3])).toBe(0);
    expect(repetitionOf([1, 2, 3, 4, 5, 6])).toBe(0);
    expect(repetitionOf([7, 7, 7, 7, 7])).toBe(0.5);
    expect(repetitionOf([1, 2, 3, 4, 1, 2, 3, 4])).toBeCloseTo(0.2);
    expect(repetitionOf([1, 23, 4, 5, 12, 3, 4, 5])).toBe(0); // not as text
  });

  it.each([
    [{ prompts: "p", seeds: "s" }, "prompts, seeds: expected one of them, found both"],
    [{ format: "sft" }, "prompts, seeds: expected one of them for what users say"],
    [{ minTokens: 300 }, "minTokens: expected at most maxTokens 256"],
    [{ minLogprob: -1, maxLogprob: -2 }, "minLogprob: expected at most maxLogprob -2"],
    [{ count: 0 }, "count"],
    [{ count: 1.5 }, "count"],
    [{ topP: 0 }, "topP"],
    [{ temperature: -1 }, "temperature"],
    [{ maxSimilarity: 0 }, "maxSimilarity"],
    [{ maxRepetition: 2 }, "maxRepetition"],
    [{ format: "chat" }, "format"],
    [{ tempature: 1 }, "tempature"],
  ])("%j is refused", (change, message) => {
    expect(() => resolveSynthesizeOptions({ ...base, ...change })).toThrow(coded("ERR_ARGUMENT", message));
  });
});

/** Words w0 w1 ... of which every `step`-th is another. */
const words = (count: number, step = Infinity, other = "x"): string =>
  Array.from({ length: count }, (_, i) => (i % step === step - 1 ? `${other}${i}` : `w${i}`)).join(" ");

describe("duplicates", () => {
  it("are the same words, however they are written", () => {
    const known = new Deduplicator(1);
    expect(known.add("The white whale, again!")).toBeNull();
    expect(known.add("the  WHITE whale\nagain")).toBe("duplicate");
    expect(known.add("The white whale once more")).toBeNull();
    expect(known.add("ﬁne")).toBeNull();
    expect(known.add("fine")).toBe("duplicate");
    expect(known.add("!!!")).toBeNull();
    expect(known.add("???")).toBeNull();
    expect(known.add("!!!")).toBe("duplicate");
  });

  it("are near ones from a similarity on", () => {
    for (const [maxSimilarity, text, expected] of [
      [0.8, words(200, 100), "nearDuplicate"], // two words of 200: 0.905
      [0.95, words(200, 100), null],
      [1, words(200, 100), null],
      [0.8, words(200, 10), null], // half of the runs
      [0.5, words(220), "nearDuplicate"],
      [0.8, words(200, 1), null],
    ] as const) {
      const known = new Deduplicator(maxSimilarity);
      expect(known.add(words(200))).toBeNull();
      expect(known.add(text)).toBe(expected);
    }
  });

  it("are found among many", () => {
    const known = new Deduplicator(0.8);
    for (let i = 0; i < 300; ++i) expect(known.add(words(60, 1, `${i}-`))).toBeNull();
    for (let i = 0; i < 300; i += 7) expect(known.add(`${words(60, 1, `${i}-`)} end`)).toBe("nearDuplicate");
  });

  it("are estimated without bias", () => {
    const whole = words(300).split(" ");
    for (const kept of [30, 150, 270]) {
      const runs = (count: number): number => count - 4;
      const expected = runs(kept) / runs(300);
      const found = similarityOf(signatureOf(whole), signatureOf(whole.slice(0, kept)));
      expect(Math.abs(found - expected)).toBeLessThan(4 * Math.sqrt((expected * (1 - expected)) / 128));
    }
  });

  it("are looked for by characters where there are no spaces", () => {
    expect(wordsOf("白い鯨 and Ahab's 2 ships")).toEqual(["白", "い", "鯨", "and", "ahab", "s", "2", "ships"]);
    expect(wordsOf("été")).toEqual(wordsOf("e\u0301te\u0301"));
  });
});
