// SPDX-License-Identifier: Apache-2.0
/**
 * Trying again what may work the next time: lost connections, busy servers.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { throwIfAborted } from "../abort.js";
import type { EspalierError } from "../errors.js";
import type { HubSettings } from "./settings.js";

const ATTEMPTS = 5;
const MAX_DELAY_MS = 60_000;

/** A failure that time may heal. `error` is what the caller sees when it does not. */
export class Transient extends Error {
  constructor(
    readonly error: EspalierError,
    /** What the server asked to wait. */
    readonly retryAfterMs: number | null = null,
  ) {
    super(error.message);
  }
}

type RetrySettings = Pick<HubSettings, "retryDelayMs" | "signal" | "onMessage">;

/** Runs `work` until it does not throw Transient. `work` may call `progressed` to have its attempts counted afresh. */
export async function withRetries<T>(
  settings: RetrySettings,
  work: (progressed: () => void) => Promise<T>,
): Promise<T> {
  let failures = 0;
  for (;;) {
    throwIfAborted(settings.signal);
    try {
      return await work(() => (failures = 0));
    } catch (error) {
      throwIfAborted(settings.signal);
      if (!(error instanceof Transient)) throw error;
      if (++failures >= ATTEMPTS) throw error.error;
      const delay = Math.min(error.retryAfterMs ?? settings.retryDelayMs * 2 ** (failures - 1), MAX_DELAY_MS);
      settings.onMessage(`${error.message}; trying again in ${(delay / 1000).toFixed(1)} s`);
      await sleep(delay, undefined, settings.signal === undefined ? {} : { signal: settings.signal }).catch(() => {});
    }
  }
}
