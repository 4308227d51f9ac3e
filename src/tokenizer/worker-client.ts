// SPDX-License-Identifier: Apache-2.0
import { WorkerClient } from "../workers/client.js";
import type { Operations } from "./messages.js";

/** A worker thread that can hold one tokenizer. */
export class TokenizerClient extends WorkerClient<Operations> {
  constructor() {
    super(new URL("./worker.js", import.meta.url), "tokenizer");
  }
}
