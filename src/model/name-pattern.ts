// SPDX-License-Identifier: Apache-2.0
/** Patterns of tensor names, as options give them. */

/** Whether the whole name matches; `*` stands for any characters. */
export function matchesPattern(pattern: string, name: string): boolean {
  const source = pattern
    .split("*")
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  return new RegExp(`^${source}$`).test(name);
}
