// SPDX-License-Identifier: Apache-2.0
/**
 * What a worker thread and its client say to each other.
 */
import type { ErrorCode } from "../errors.js";

export interface Request {
  call: number;
  op: string;
  input: unknown;
}

export interface Failure {
  code: ErrorCode;
  message: string;
  stack?: string | undefined;
}

export type Response =
  { call: number; value: unknown } | { call: number; failure: Failure } | { call: number; progress: unknown };
