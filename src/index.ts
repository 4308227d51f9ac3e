/** espalier: make a large language model small and fast. The public API. */
export { EspalierError, errorTable, type ErrorCode } from "./errors.js";
