// The mean cross-entropy of a model in nats a token, by a forward-only trainer: what training and importance call its loss.
import { binding } from "../dist/binding.js";
import { trainerModel } from "../dist/train/model-source.js";

const BATCH_TOKENS = 2048;

/** tokens, labels [windows, length] */
export async function forwardLoss({ model, tokens, labels, length, threads = 0 }) {
  const batchSize = Math.max(1, Math.floor(BATCH_TOKENS / length));
  const trainer = new binding.NativeTrainer({
    model: trainerModel(model),
    losses: [{ kind: "cross_entropy", weight: 1 }],
    maxSequences: batchSize,
    sequenceLength: length,
    activationCheckpointing: false,
    activationDtype: "f32",
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-8,
    frozen: [],
    forwardOnly: true,
    initSeed: 0,
    initStd: 0,
    threads,
    isa: "auto",
  });
  try {
    let sum = 0;
    let count = 0;
    for (let first = 0; first < tokens.length; first += batchSize * length) {
      const [part, partLabels] = [tokens, labels].map((ids) => ids.subarray(first, first + batchSize * length));
      const batch = { sequences: part.length / length, length, tokens: part, labels: partLabels };
      const { tokens: predicted, sums } = await trainer.evaluate(batch);
      sum += sums.total;
      count += predicted;
    }
    return sum / count;
  } finally {
    await trainer.close();
  }
}
