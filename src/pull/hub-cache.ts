// SPDX-License-Identifier: Apache-2.0
/**
 * The layout of the Hugging Face cache, shared with its other tools:
 *   models--org--name/blobs/<hash>               contents; <hash>.incomplete while it is fetched
 *   models--org--name/refs/<revision>            the commit a branch or tag stood at
 *   models--org--name/snapshots/<commit>/<path>  links to blobs
 */
import { copyFile, lstat, mkdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { dirname, join, relative } from "node:path";

export class RepoCache {
  readonly #root: string;
  readonly #locks: string;

  constructor(cacheDir: string, repo: string) {
    const name = `models--${repo.replaceAll("/", "--")}`;
    this.#root = join(cacheDir, name);
    this.#locks = join(cacheDir, ".locks", name);
  }

  blob(hash: string): string {
    return join(this.#root, "blobs", hash);
  }

  lock(hash: string): string {
    return join(this.#locks, `${hash}.espalier-lock`);
  }

  snapshot(commit: string): string {
    return join(this.#root, "snapshots", commit);
  }

  async makeFolders(): Promise<void> {
    for (const folder of [join(this.#root, "blobs"), this.#locks]) await mkdir(folder, { recursive: true });
  }

  async hasBlob(hash: string, sizeBytes: number): Promise<boolean> {
    const found = await stat(this.blob(hash)).catch(() => null);
    return found?.size === sizeBytes;
  }

  /** Makes snapshots/<commit>/<path> show the blob: by a link, or by a copy where links cannot be made. */
  async show(commit: string, path: string, hash: string): Promise<void> {
    const place = join(this.snapshot(commit), path);
    const target = relative(dirname(place), this.blob(hash));
    if ((await readlink(place).catch(() => null)) === target) return;
    await mkdir(dirname(place), { recursive: true });
    const temporary = temporaryBeside(place);
    try {
      await symlink(target, temporary).catch(() => copyFile(this.blob(hash), temporary));
      await rename(temporary, place);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** The commit a revision stood at when it was last pulled; a commit that was pulled is itself. */
  async commitOf(revision: string): Promise<string | null> {
    const commit = await readFile(join(this.#root, "refs", revision), "utf8").catch(() => revision);
    const there = await lstat(this.snapshot(commit.trim())).catch(() => null);
    return there === null ? null : commit.trim();
  }

  async setCommit(revision: string, commit: string): Promise<void> {
    if (revision === commit) return;
    const place = join(this.#root, "refs", revision);
    await mkdir(dirname(place), { recursive: true });
    const temporary = temporaryBeside(place);
    await writeFile(temporary, commit);
    await rename(temporary, place);
  }
}

export function temporaryBeside(path: string): string {
  return `${path}.${process.pid}-${randomBytes(4).toString("hex")}`;
}
