/** Numbers as people read them. Anything that is not a finite number is a dash. */

export const DASH = "–";

/** Three significant digits; thousands separated: 0.123, 1.23, 12.3, 123, 1,234. */
export function formatNumber(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
  const size = Math.abs(value);
  if (size >= 99.95 || size === 0) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3);
}

/** Milliseconds, or seconds from ten of them on. */
export function formatMs(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return DASH;
  return ms >= 10_000 ? `${formatNumber(ms / 1000)} s` : `${formatNumber(ms)} ms`;
}

/** 10^6 and 10^9 bytes. */
export function formatBytes(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return DASH;
  if (bytes >= 1e9) return `${formatNumber(bytes / 1e9)} GB`;
  return bytes >= 1e6 ? `${formatNumber(bytes / 1e6)} MB` : `${formatNumber(bytes / 1e3)} kB`;
}

/** Parameters: 135 M, 1.24 B. */
export function formatCount(count: number): string {
  if (count >= 1e9) return `${formatNumber(count / 1e9)} B`;
  return count >= 1e6 ? `${formatNumber(count / 1e6)} M` : count.toLocaleString("en-US");
}

/** A share as a percentage: 0.123 -> "12 %". */
export function formatShare(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return DASH;
  return `${(100 * share).toFixed(Math.abs(share) < 0.0995 ? 1 : 0)} %`;
}

/** 2.4× */
export function formatRatio(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return DASH;
  return `${ratio >= 9.95 ? ratio.toFixed(0) : ratio >= 0.1 ? ratio.toFixed(2) : ratio.toPrecision(2)}×`;
}
