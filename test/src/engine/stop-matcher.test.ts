import fc from "fast-check";
import { StopMatcher } from "../../../src/engine/stop-matcher.js";

function stream(stops: string[], pieces: string[]): { text: string; stopped: string | null } {
  const matcher = new StopMatcher(stops);
  let text = "";
  for (const piece of pieces) {
    const step = matcher.push(piece);
    text += step.text;
    if (step.stopped !== null) return { text, stopped: step.stopped };
  }
  return { text: text + matcher.flush(), stopped: null };
}

describe("StopMatcher", () => {
  it("finds a stop string across pieces and gives nothing of it", () => {
    expect(stream(["</s>"], ["one <", "/s", "> two"])).toEqual({ text: "one ", stopped: "</s>" });
  });

  it("gives back text that only looked like one", () => {
    expect(stream(["</s>"], ["a <", "/b> </s"])).toEqual({ text: "a </b> </s", stopped: null });
  });

  it("takes the earliest of several", () => {
    expect(stream(["bb", "ab"], ["xabb"])).toEqual({ text: "x", stopped: "ab" });
  });

  it("does not depend on how the text is cut", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 30 });
    const stop = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(text, fc.array(stop, { maxLength: 3 }), fc.array(fc.nat(30)), (whole, stops, cuts) => {
        const at = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).sort((a, b) => a - b), whole.length];
        const pieces = at.slice(1).map((end, i) => whole.slice(at[i], end));
        const found = stops.map((s) => whole.indexOf(s)).filter((index) => index >= 0);
        const expected = found.length === 0 ? whole : whole.slice(0, Math.min(...found));
        // Cut into pieces a later stop may complete before an earlier-starting one: the text may then be longer, never wrong.
        const cut = stream(stops, pieces);
        expect(whole.startsWith(cut.text)).toBe(true);
        expect(cut.text.length).toBeGreaterThanOrEqual(expected.length);
        expect(cut.stopped === null).toBe(found.length === 0);
        expect(stream(stops, [whole]).text).toBe(expected);
      }),
    );
  });
});
