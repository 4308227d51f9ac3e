// SPDX-License-Identifier: Apache-2.0
export { pull, type PullResult } from "./pull.js";
export type { PullOptions, PullProgress } from "./settings.js";
export { pullSmolLm2, type SmolLm2Options } from "./smollm2.js";
