import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { withLock } from "../../../src/files/lock.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const root = temporaryDirectory();

it("is held by one at a time, and gone afterwards", async () => {
  const path = join(root, "lock");
  const onWait = (): never => {
    throw new Error("busy");
  };
  await withLock(path, {}, async () => {
    expect(existsSync(path)).toBe(true);
    await expect(withLock(path, { onWait }, async () => {})).rejects.toThrow("busy");
  });
  expect(readdirSync(root)).toEqual([]);
});

it("names a place that cannot be written", async () => {
  const path = join(root, "nowhere", "lock");
  await expect(withLock(path, {}, async () => {})).rejects.toThrow(coded("ERR_FILE_WRITE"));
  expect(readdirSync(root)).toEqual([]);
});
