import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { failureOf, isas, randomArray, unaligned } from "./row-cases.js";

const embeddingBackward = binding.testing["embedding_backward"]!;

describe("embedding_backward", () => {
  it("the reference adds each token's row to its row of the table", () => {
    const dtable = new Float32Array(3 * 2).fill(1);
    const dout = Float32Array.of(1, 2, 10, 20, 100, 200);
    embeddingBackward({
      ids: Int32Array.of(2, 0, 2),
      tokens: 3,
      dout,
      lddo: 2,
      dtable,
      vocab: 3,
      hidden: 2,
      reference: true,
    });
    expect([...dtable]).toEqual([11, 21, 1, 1, 102, 203]);
  });

  it.each(isas)("%s equals the reference, with any number of threads", (isa) => {
    for (const [tokens, vocab, hidden] of [
      [0, 3, 5],
      [1, 1, 1],
      [7, 3, 13],
      [50, 11, 67],
      [300, 17, 129],
      [700, 64, 576],
    ] as const) {
      const lddo = hidden + 3;
      const ids = Int32Array.from({ length: tokens }, (_, i) => (i * i + 3 * i) % vocab);
      const call = { ids, tokens, dout: unaligned(randomArray(tokens * lddo, 1), 1), lddo, vocab, hidden };
      const expected = randomArray(vocab * hidden, 2);
      embeddingBackward({ ...call, dtable: expected, reference: true });
      const single = randomArray(vocab * hidden, 2);
      embeddingBackward({ ...call, dtable: single, isa, threads: 1 });
      expectWithin(single, expected, "embedding_backward/f32", `${isa} ${tokens} of ${vocab} x ${hidden}`);
      for (const threads of [2, 3]) {
        const dtable = unaligned(randomArray(vocab * hidden, 2), 1);
        embeddingBackward({ ...call, dtable, isa, threads });
        expect([...dtable]).toEqual([...single]);
      }
    }
  });

  it("names an id that the table does not have", () => {
    const good = { tokens: 2, dout: new Float32Array(4), lddo: 2, dtable: new Float32Array(6), vocab: 3, hidden: 2 };
    for (const id of [3, -1])
      expect(failureOf(() => embeddingBackward({ ...good, ids: Int32Array.of(0, id) }))).toEqual({
        code: "ERR_TOKEN_ID",
        message: `ids[1]: expected 0 <= id < 3 (the vocabulary), found ${id}`,
      });
  });
});
