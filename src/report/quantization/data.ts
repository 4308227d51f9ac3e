// SPDX-License-Identifier: Apache-2.0
/**
 * What the page of a quantized model is made of.
 */
import type { ReportData } from "../types.js";

/** What rounding did to one weight. */
export interface ReportedWeight {
  name: string;
  scheme: string;
  /** [rows, cols] */
  shape: readonly number[];
  bitsPerWeight: number;
  bytes: number;
  /** |w - ŵ| over |w|, Frobenius norms; and the largest |w - ŵ|. */
  relativeError: number;
  largestError: number;
}

export interface QuantizationReportData {
  /** Of the source. */
  model: string;
  scheme: string;
  /** In the model's order. */
  weights: readonly ReportedWeight[];
  /** The source first, then the quantized model. */
  measured: ReportData;
  /** Scheme to advise for weights that rounding hurts most; null: they can only be left out. */
  gentler: string | null;
}
