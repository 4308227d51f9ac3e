/**
 * One table of how close each op must come to its reference: op/dtype -> metric, bound, reason. Rows are alphabetical.
 *
 * exact    the same values
 * element  |a - e| <= atol + rtol * |e| for each element
 * nmse     Σ(a - e)² / Σe² <= bound
 */
export type Tolerance =
  | { metric: "exact"; reason: string }
  | { metric: "element"; atol: number; rtol: number; reason: string }
  | { metric: "nmse"; bound: number; reason: string };

export const tolerances = {
  "adamw/f32": { metric: "element", atol: 1e-7, rtol: 3e-6, reason: "a few f32 roundings against float64" },
  "attention/bf16": { metric: "nmse", bound: 1e-11, reason: "both read the same bf16 cache; f32 sums remain" },
  "attention/f16": { metric: "nmse", bound: 1e-11, reason: "both read the same f16 cache; f32 sums remain" },
  "attention/f32": { metric: "nmse", bound: 1e-11, reason: "f32 sums and a 2 ulp exp against float64" },
  "attention/fp8": { metric: "nmse", bound: 1e-11, reason: "both read the same codes and scales; f32 sums remain" },
  "attention/int8": { metric: "nmse", bound: 1e-11, reason: "both read the same codes and scales; f32 sums remain" },
  "attention_train/f32": { metric: "nmse", bound: 1e-11, reason: "f32 sums and a 2 ulp exp against float64" },
  "attention_train/lse": { metric: "element", atol: 2e-6, rtol: 1e-6, reason: "f32 scores, a sum and a log" },
  "backward/differences": { metric: "element", atol: 2e-6, rtol: 2e-6, reason: "f32 results; differences to 1e-9" },
  "bias_backward/f32": { metric: "element", atol: 3e-5, rtol: 3e-6, reason: "f32 sums over a thousand rows" },
  "channel_moments/f64": { metric: "element", atol: 1e-5, rtol: 1e-5, reason: "f32 sums over up to 64 rows" },
  "embedding_backward/f32": { metric: "element", atol: 1e-5, rtol: 3e-6, reason: "f32 sums over the tokens of a row" },
  "gemm/f32": { metric: "nmse", bound: 1e-11, reason: "f32 sums over k against float64" },
  "hidden_loss/gradient": { metric: "element", atol: 1e-7, rtol: 3e-6, reason: "two f32 products and a sum" },
  "hidden_loss/sum": {
    metric: "element",
    atol: 1e-7,
    rtol: 1e-6,
    reason: "f32 squares and products summed in float64",
  },
  "kv_append/bf16": { metric: "exact", reason: "data movement with round to nearest even" },
  "kv_append/codes": { metric: "exact", reason: "every step is one IEEE operation or exact" },
  "kv_append/f16": { metric: "exact", reason: "data movement with round to nearest even" },
  "kv_append/f32": { metric: "exact", reason: "data movement" },
  "layer_norm/f32": { metric: "element", atol: 3e-6, rtol: 3e-6, reason: "f32 sums over a row of values near 1" },
  "layer_norm_backward/f32": { metric: "element", atol: 2e-5, rtol: 1e-5, reason: "f32 sums over rows and columns" },
  "logit_loss/cached-tail": { metric: "element", atol: 2e-5, rtol: 1e-5, reason: "the teacher's sum of exp in f32" },
  "logit_loss/gradient": { metric: "nmse", bound: 1e-11, reason: "f32 logits, 2 ulp exp, f32 reciprocal of the sum" },
  "logit_loss/sum": { metric: "element", atol: 2e-6, rtol: 2e-6, reason: "f32 terms of a row summed in float64" },
  "matmul/bf16": { metric: "nmse", bound: 1e-11, reason: "same bf16 activations and weights; f32 sums remain" },
  "matmul/f16": { metric: "nmse", bound: 1e-11, reason: "same f16 weights; f32 sums remain" },
  "matmul/f32": { metric: "nmse", bound: 1e-11, reason: "f32 sums over k against float64" },
  "matmul/grouped": { metric: "nmse", bound: 1e-11, reason: "same codes and activations; f32 sums of groups remain" },
  "matmul/int8": { metric: "nmse", bound: 1e-11, reason: "same int8 weights; f32 sums remain" },
  "matmul/int8-w8a8": { metric: "nmse", bound: 1e-11, reason: "exact integer sums; f32 scaling remains" },
  "matmul/table4": { metric: "nmse", bound: 4e-7, reason: "nf4's table to 2^-13 of absmax in few rows" },
  "matmul_swiglu/f32": { metric: "nmse", bound: 1e-11, reason: "f32 sums and a 2 ulp exp" },
  "rms_norm/f32": { metric: "element", atol: 1e-7, rtol: 2e-6, reason: "f32 sum of squares over a row" },
  "rms_norm_backward/f32": { metric: "element", atol: 1e-5, rtol: 1e-5, reason: "f32 sums over rows and columns" },
  "rope/f32": { metric: "element", atol: 3e-7, rtol: 1e-6, reason: "two f32 products and a sum per element" },
  "rotation/f32": {
    metric: "element",
    atol: 4e-6,
    rtol: 1e-5,
    reason: "log2(width) f32 additions and a short DCT sum",
  },
  "sample/logprob": { metric: "element", atol: 2e-6, rtol: 1e-6, reason: "f32 exp summed in float64" },
  "softmax/f32": { metric: "element", atol: 1e-9, rtol: 3e-6, reason: "2 ulp exp, f32 difference to the maximum" },
  "sum_of_squares/f64": { metric: "element", atol: 0, rtol: 1e-12, reason: "float64 sums in another order" },
  "swiglu/f32": { metric: "element", atol: 1e-7, rtol: 2e-6, reason: "2 ulp exp, one division" },
  "swiglu_backward/f32": { metric: "element", atol: 2e-7, rtol: 3e-6, reason: "2 ulp exp, a few roundings" },
  "token_logprob/f64": { metric: "element", atol: 2e-6, rtol: 1e-6, reason: "f32 exp summed in float64" },
  "train/adamw": { metric: "element", atol: 1e-4, rtol: 1e-4, reason: "50 steps in f32 against torch's float64" },
  "train/gradient": { metric: "nmse", bound: 1e-10, reason: "f32 through all layers against torch's float64" },
  "train/loss": { metric: "element", atol: 0, rtol: 1e-5, reason: "f32 through all layers against torch's float64" },
  "train/zero-gradient": { metric: "element", atol: 1e-6, rtol: 0, reason: "sums that cancel, of values near 1" },
} as const satisfies Record<string, Tolerance>;

export type ToleranceKey = keyof typeof tolerances;
