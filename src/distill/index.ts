export {
  checkDistillOptions,
  distill,
  distillDefaults,
  distillOptionNames,
  lossPolicies,
  type DistillOptions,
  type LossPolicy,
} from "./distill.js";
