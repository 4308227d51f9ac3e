export {
  cacheTeacherLogits,
  DEFAULT_TOP_K,
  type CacheHooks,
  type CacheOptions,
  type CachePlan,
  type CacheProgress,
  type CacheReport,
} from "./cache.js";
export {
  checkDistillOptions,
  distill,
  distillDefaults,
  distillOptionNames,
  lossPolicies,
  type DistillHooks,
  type DistillOptions,
  type DistillProgress,
  type LossPolicy,
} from "./distill.js";
