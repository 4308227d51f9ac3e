// The students that several experiments have: half of the teacher's parameters by width (hidden 256 -> 192, ffn 512 -> 288, as
// Llama-3.1-8B's 4096 -> 3072 and 14336 -> 9216), or by depth (6 -> 3 layers); by other teachers the same parts.

/** Hidden size and ffn that make a width-pruned student as large as one of half the layers. */
export const width = { hidden: 192, ffn: 288 };
export const depth = { layers: 3 };

export const calibration = (lab) => lab.scores("calibration-1234", { layerBlocks: [1, 2, 3] });

/** By activations, with the default aggregators. */
export async function widthStudent(lab) {
  return lab.student("width-activation", { ...width, importance: await calibration(lab) });
}

/** Half of the layers, those with the smallest block importance gone. */
export async function depthStudent(lab, how = {}) {
  return lab.student(how.name ?? "depth-block-importance", {
    ...depth,
    importance: await calibration(lab),
    ...how.prune,
  });
}

/** The student distilled on logits alone, once for each seed; losses afterwards. */
export async function logitsOnly(lab, name, student) {
  const runs = [];
  for (const seed of lab.seeds)
    runs.push(await lab.distilled(`${name}-kl-${seed}`, { student: student.directory, seed, loss: "logits" }));
  return runs;
}

export const losses = (runs) => runs.map(({ loss }) => loss);
