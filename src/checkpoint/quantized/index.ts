export { collectQuantized, quantizedModelOf } from "./collect.js";
export type { Activations } from "./types.js";
