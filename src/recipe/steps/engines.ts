// SPDX-License-Identifier: Apache-2.0
/**
 * Engines for steps that run models: given ones, or built for the step and removed after it.
 */
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { weightFormatsOf } from "../../bench/index.js";
import { buildEngine, readEngineManifest } from "../../engine/index.js";
import { reportEngine, type ReportEngine } from "../../report/index.js";
import type { StepContext } from "../step-kind.js";

/** What a report tells of an engine. */
export interface EngineFacts {
  /** What the step was given: an engine, or a model. */
  path: string;
  /** "int8-w8a8" */
  weights: string;
  /** As a page shows it; its directory is that of a bench's cells. */
  engine: ReportEngine;
}

/** Calls `work` with an engine for each path. */
export async function withEngines<T>(
  paths: readonly string[],
  weights: string,
  { directory, signal, onProgress }: StepContext,
  work: (engines: EngineFacts[]) => Promise<T>,
): Promise<T> {
  await mkdir(directory, { recursive: true });
  const built: string[] = [];
  try {
    const engines: EngineFacts[] = [];
    for (const [index, path] of paths.entries()) {
      const isEngine = existsSync(join(path, "engine.json"));
      const place = isEngine ? path : join(directory, `engine-${index + 1}`);
      if (!isEngine) {
        await rm(place, { recursive: true, force: true });
        built.push(place);
        await buildEngine(path, place, {
          weights,
          ...(signal === undefined ? {} : { signal }),
          onProgress: (event) => onProgress({ verb: "build", event }),
        });
      }
      engines.push(await factsOf(path, place));
    }
    return await work(engines);
  } finally {
    for (const place of built) await rm(place, { recursive: true, force: true });
  }
}

async function factsOf(path: string, directory: string): Promise<EngineFacts> {
  const manifest = await readEngineManifest(directory);
  return { path, weights: weightFormatsOf(manifest.tensors).join("+"), engine: reportEngine(directory, "", manifest) };
}
