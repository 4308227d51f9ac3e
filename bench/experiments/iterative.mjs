// One cut, or two with importance measured again in between? Half way (hidden 224, ffn 400) without training there, as table 14
// of arXiv 2407.14679, or with half of the training there. Equal tokens.
//   node bench/experiments/iterative.mjs [--out runs/minitron] [--seeds 1,2]
import { figure, openLab } from "./lab.mjs";
import { calibration, logitsOnly, losses, width, widthStudent } from "./students.mjs";

const HALF_WAY = { hidden: 224, ffn: 400 };

const lab = await openLab();
const half = Math.floor(lab.options.steps / 2);
const single = await widthStudent(lab);
const middle = await lab.student("half-way", { ...HALF_WAY, importance: await calibration(lab) });

/** The second cut, of `model`. */
async function cutAgain(name, model) {
  const importance = await lab.scores(name, { model });
  return lab.student(name, { ...width, importance }, { model });
}

const untrained = await cutAgain("twice-untrained", middle.directory);
const trained = [];
const trainedAfter = [];
for (const seed of lab.seeds) {
  const first = await lab.distilled(`half-way-${seed}`, {
    student: middle.directory,
    seed,
    loss: "logits",
    steps: half,
  });
  const cut = await cutAgain(`twice-trained-${seed}`, first.model);
  const last = { student: cut.directory, seed: seed + 1000, loss: "logits", steps: lab.options.steps - half };
  trained.push(cut);
  trainedAfter.push(await lab.distilled(`twice-trained-${seed}`, last));
}
const row = (cuts, students, runs) => ({
  cuts,
  "after the last cut": figure(losses(students)),
  "at the end": figure(losses(runs)),
});
lab.write("iterative", [
  {
    title: "Loss, single-shot against iterative: mean (least - most)",
    rows: [
      row("one", [single], await logitsOnly(lab, "width-activation", single)),
      row("two, importance again in between", [untrained], await logitsOnly(lab, "twice-untrained", untrained)),
      row("two, half of the training in between", trained, trainedAfter),
    ],
  },
]);
