// SPDX-License-Identifier: Apache-2.0
/**
 * Text columns of parquet files. Runs in the worker.
 */
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead, type FileMetaData } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { EspalierError } from "../../errors.js";

/** Rows of each row group. */
export async function parquetGroups(path: string, column: string): Promise<number[]> {
  const { metadata } = await open(path);
  const columns = metadata.schema.map(({ name }) => name).slice(1);
  if (!columns.includes(column))
    throw new EspalierError("ERR_DATA_INPUT", `${path}: expected a column "${column}", found ${columns.join(", ")}`, {
      hint: "Name the column of the text with --json-key.",
    });
  return metadata.row_groups.map(({ num_rows: rows }) => Number(rows));
}

export async function parquetColumn(
  path: string,
  column: string,
  rowStart: number,
  rowEnd: number,
): Promise<unknown[]> {
  const { file, metadata } = await open(path);
  try {
    let rows: unknown[] = [];
    await parquetRead({
      file,
      metadata,
      compressors,
      columns: [column],
      rowStart,
      rowEnd,
      onComplete: (found) => (rows = found.map(([value]) => value as unknown)),
    });
    if (rows.length !== rowEnd - rowStart) throw new Error(`${rows.length} of ${rowEnd - rowStart} rows were there`);
    return rows;
  } catch (error) {
    throw damaged(path, error);
  }
}

async function open(
  path: string,
): Promise<{ file: Awaited<ReturnType<typeof asyncBufferFromFile>>; metadata: FileMetaData }> {
  try {
    const file = await asyncBufferFromFile(path);
    return { file, metadata: await parquetMetadataAsync(file) };
  } catch (error) {
    throw damaged(path, error);
  }
}

function damaged(path: string, error: unknown): EspalierError {
  return new EspalierError("ERR_DATA_INPUT", `${path}: parquet: ${(error as Error).message}`, { cause: error });
}
