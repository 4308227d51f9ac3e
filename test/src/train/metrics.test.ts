import { LossSums, lossMetrics } from "../../../src/train/metrics.js";
import type { LossTerm } from "../../../src/train/native-trainer.js";

const summed = (...batches: { tokens: number; sums: Record<string, number> }[]): LossSums => {
  const sums = new LossSums();
  for (const batch of batches) sums.add(batch);
  return sums;
};

describe("lossMetrics", () => {
  const data: LossTerm = { kind: "cross_entropy", weight: 0 };
  const kl: LossTerm = { kind: "kl", weight: 1, temperature: 1, topK: 0 };
  const hidden: LossTerm = { kind: "hidden_mse", weight: 1, layers: [[0, 1]], dynamicWeight: true };

  it("averages over the tokens of all batches, not over batches", () => {
    const sums = summed(
      { tokens: 1, sums: { total: 5, cross_entropy: 5 } },
      { tokens: 3, sums: { total: 3, cross_entropy: 3 } },
    );
    expect(lossMetrics(sums, [{ ...data, weight: 1 }])).toEqual({ loss: 2 });
  });

  it("names the parts as Megatron's balancer does", () => {
    const sums = summed({ tokens: 2, sums: { total: 10, cross_entropy: 8, kl: 4, hidden_mse: 6 } });
    const all = { loss: 5, lm_loss: 4, kd_loss: 5, logits_loss: 2, intermediate_loss: 3 };
    expect(lossMetrics(sums, [data, kl, hidden])).toEqual(all);
    expect(lossMetrics(sums, [kl])).toEqual({ loss: 5, kd_loss: 5, logits_loss: 2 });
    expect(lossMetrics(sums, [hidden])).toEqual({ loss: 5, kd_loss: 5, intermediate_loss: 3 });
  });

  it("says null for what is not finite, and 0 when no token counts", () => {
    expect(lossMetrics(summed({ tokens: 2, sums: { total: NaN } }), [data])).toEqual({ loss: null });
    expect(lossMetrics(summed({ tokens: 0, sums: { total: 0 } }), [data])).toEqual({ loss: 0 });
  });
});
