// SPDX-License-Identifier: Apache-2.0
/**
 * Small helpers for JSON of unknown shape.
 */

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
