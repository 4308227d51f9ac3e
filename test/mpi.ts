/** Runs scripts as the ranks of an MPI run, where mpirun is installed. */
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";

const found = spawnSync("mpirun", ["--version"], { encoding: "utf8" });

/** Why MPI tests cannot run here, or null. */
export const whyNoMpi: string | null =
  found.status === 0 && found.stdout.includes("Open MPI")
    ? null
    : "mpirun of Open MPI is not installed (Debian: apt-get install openmpi-bin)";

/** `it`, skipped with its reason printed where there is no MPI. */
export const itWithMpi: typeof it | typeof it.skip = whyNoMpi === null ? it : it.skip;
if (whyNoMpi !== null) console.log(`skipped: ${whyNoMpi}`);

/** Runs `node args` as `ranks` processes of one machine. */
export async function mpirun(ranks: number, args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const launch = ["--oversubscribe", "--bind-to", "none", "-n", String(ranks), process.execPath, ...args];
  const env = { ...process.env, OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
  return promisify(execFile)("mpirun", launch, { env });
}
