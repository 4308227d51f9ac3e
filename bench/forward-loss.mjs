// The mean cross-entropy of a model in nats a token, as importance measures it: what training calls its loss.
import { measureLayerLosses } from "../dist/importance/layer-losses.js";

const BATCH_TOKENS = 2048;
/** Every figure is measured. */
const journal = { once: (_key, measure) => measure() };

/** tokens, labels [windows, length] */
export async function forwardLoss({ model, tokens, labels, length, threads = 0 }) {
  const batchSize = Math.max(1, Math.floor(BATCH_TOKENS / length));
  const windows = { fingerprint: "", tokens, labels, length, batchSize };
  const { whole } = await measureLayerLosses({ model, ...windows, sizes: [], journal, threads, isa: "auto" });
  return whole;
}
