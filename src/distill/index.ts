export { distill, distillDefaults, lossPolicies, type DistillOptions, type LossPolicy } from "./distill.js";
