// SPDX-License-Identifier: Apache-2.0
/**
 * Builds indices off the event loop: shuffling a hundred million samples takes seconds.
 */
import { serve } from "../../workers/serve.js";
import { buildGptIndices, type GptIndices, type IndexRequest } from "./indices.js";

export interface IndexOperations {
  build: { in: IndexRequest; out: GptIndices };
}

serve<IndexOperations>("index builder", { build: buildGptIndices });
