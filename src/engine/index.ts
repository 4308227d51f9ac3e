export { buildEngine, type BuildOptions, type BuildProgress, type BuildReport } from "./build.js";
export { Engine, type EngineStats } from "./engine.js";
export {
  readEngineManifest,
  verifyEngineChecksums,
  type EngineManifest,
  type EngineTensor,
} from "./engine-directory.js";
export {
  Generation,
  type FinishReason,
  type GeneratedToken,
  type GenerationChunk,
  type GenerationResult,
} from "./generation.js";
export {
  isKvDtype,
  kvBytesPerToken,
  kvDtypeOf,
  kvDtypes,
  kvScales,
  type KvCache,
  type KvDtype,
  type KvScale,
} from "./kv-cache.js";
export type { EngineLoadOptions } from "./load-options.js";
export type { GenerateOptions, SamplingOptions } from "./options.js";
export { Session, type SessionOptions } from "./session.js";
