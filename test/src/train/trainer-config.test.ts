import { resolveTrainOptions } from "../../../src/train/config.js";
import { checkTrainerMemory } from "../../../src/train/trainer-config.js";
import { usableMemoryBytes } from "../../../src/memory.js";
import { coded } from "../../model-files.js";
import { smallRun } from "./fixtures.js";

it("refuses a trainer that the memory cannot hold, and tells what takes it", () => {
  const options = resolveTrainOptions({ ...smallRun, out: "run" });
  const needing = (activations: number) => ({ memory: { weights: 1e6, activations, teacher: 0 } });
  checkTrainerMemory(needing(usableMemoryBytes() / 2), options);
  const parts = ["microBatch 2 of seqLength 8: expected at most", "found", "weights 0.0 GB, activations"];
  const refused = () => checkTrainerMemory(needing(usableMemoryBytes()), options);
  expect(refused).toThrow(coded("ERR_OUT_OF_MEMORY", ...parts));
});
