/**
 * A trainer of its own for testing the loop: predicts the next token from the present one through the embedding alone
 * (logits = E[token] E^T), with a gradient and AdamW written out. Deterministic; everything else of the model only decays.
 */
import type { TrainParts } from "../../../src/train/parts.js";
import type {
  BatchLosses,
  NativeTrainer,
  ParameterPart,
  TrainBatch,
  TrainerConfig,
  TrainerParameter,
  UpdateOptions,
  UpdateResult,
} from "../../../src/train/native-trainer.js";
import { expectedTensors } from "../../../src/model/families.js";
import type { ModelSpec } from "../../../src/model/spec.js";

type Parts = Record<ParameterPart, Float32Array>;

/** Numbers in [0, 1) from a seed. */
export function random(seed: number): () => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export class ToyTrainer implements NativeTrainer {
  readonly parameters: TrainerParameter[];
  readonly memory = {};
  readonly updates: UpdateOptions[] = [];
  step = 0;
  closed = false;
  /** Called before each micro batch; may throw. */
  onAccumulate: () => void = () => {};
  /** Called before each tensor is given to a checkpoint; may throw. */
  onMerged: () => void = () => {};
  /** Makes the gradient of these steps NaN. */
  poisoned: (step: number) => boolean = () => false;
  #calls = 0;
  readonly #values = new Map<string, Parts>();
  readonly #embedding: Parts;
  readonly #vocab: number;
  readonly #hidden: number;

  constructor(private readonly config: TrainerConfig) {
    const spec = config.model.spec as ModelSpec;
    [this.#vocab, this.#hidden] = [spec.vocabSize, spec.hiddenSize];
    const draw = random(config.initSeed);
    this.parameters = expectedTensors(spec).map(({ name, shape }) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const weight = Float32Array.from({ length: count }, () =>
        shape.length === 1 ? 1 : config.initStd * 4 * (draw() + draw() + draw() - 1.5),
      );
      const [gradient, moment1, moment2] = [0, 0, 0].map(() => new Float32Array(count)) as [
        Float32Array,
        Float32Array,
        Float32Array,
      ];
      this.#values.set(name, { weight, gradient, moment1, moment2 });
      return { name, shape, trainable: !config.frozen.includes(name), decays: shape.length > 1 };
    });
    this.#embedding = this.#of("model.embed_tokens.weight");
  }

  #of(name: string): Parts {
    const parts = this.#values.get(name);
    if (parts === undefined) throw new Error(`no ${name}`);
    return parts;
  }

  accumulate(batch: TrainBatch): Promise<BatchLosses> {
    this.onAccumulate();
    return Promise.resolve(this.#pass(batch, true));
  }

  evaluate(batch: TrainBatch): Promise<BatchLosses> {
    return Promise.resolve(this.#pass(batch, false));
  }

  topLogits(): Promise<never> {
    return Promise.reject(new Error("a toy has no teacher's logits"));
  }

  #pass({ tokens, labels }: TrainBatch, backward: boolean): BatchLosses {
    const [vocab, hidden] = [this.#vocab, this.#hidden];
    const { weight: e, gradient: g } = this.#embedding;
    let [count, total] = [0, 0];
    for (const [at, token] of tokens.entries()) {
      const label = labels[at] ?? -100;
      if (label < 0) continue;
      const logits = Array.from({ length: vocab }, (_, v) => {
        let sum = 0;
        for (let i = 0; i < hidden; ++i) sum += (e[token * hidden + i] ?? 0) * (e[v * hidden + i] ?? 0);
        return sum;
      });
      const top = Math.max(...logits);
      const norm = logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
      total += top + Math.log(norm) - (logits[label] ?? 0);
      count += 1;
      if (!backward) continue;
      for (let v = 0; v < vocab; ++v) {
        const d = Math.exp((logits[v] ?? 0) - top) / norm - (v === label ? 1 : 0);
        for (let i = 0; i < hidden; ++i) {
          g[v * hidden + i] = (g[v * hidden + i] ?? 0) + d * (e[token * hidden + i] ?? 0);
          g[token * hidden + i] = (g[token * hidden + i] ?? 0) + d * (e[v * hidden + i] ?? 0);
        }
      }
    }
    return { tokens: count, sums: { cross_entropy: total, total } };
  }

  update(options: UpdateOptions): Promise<UpdateResult> {
    this.updates.push(options);
    this.#calls += 1;
    const { gradient } = this.#embedding;
    if (this.poisoned(this.#calls)) gradient[0] = NaN;
    let square = 0;
    for (const value of gradient) square += (value / options.tokens) ** 2;
    const gradNorm = Math.sqrt(square);
    const skipped = !Number.isFinite(gradNorm);
    if (!skipped) this.#apply(options, gradNorm);
    for (const { gradient: values } of this.#values.values()) values.fill(0);
    return Promise.resolve({ gradNorm, skipped });
  }

  #apply({ tokens, learningRate, weightDecay, maxGradNorm }: UpdateOptions, gradNorm: number): void {
    const { beta1, beta2, epsilon } = this.config;
    this.step += 1;
    const scale = (maxGradNorm > 0 && gradNorm > maxGradNorm ? maxGradNorm / gradNorm : 1) / tokens;
    const [bias1, bias2] = [1 - beta1 ** this.step, 1 - beta2 ** this.step];
    for (const { name, trainable, decays } of this.parameters) {
      if (!trainable) continue;
      const { weight, gradient, moment1, moment2 } = this.#of(name);
      for (let i = 0; i < weight.length; ++i) {
        const d = (gradient[i] ?? 0) * scale;
        moment1[i] = beta1 * (moment1[i] ?? 0) + (1 - beta1) * d;
        moment2[i] = beta2 * (moment2[i] ?? 0) + (1 - beta2) * d * d;
        const move = (moment1[i] ?? 0) / bias1 / (Math.sqrt((moment2[i] ?? 0) / bias2) + epsilon);
        weight[i] = (weight[i] ?? 0) * (1 - (decays ? learningRate * weightDecay : 0)) - learningRate * move;
      }
    }
  }

  read(name: string, part: ParameterPart): Promise<Float32Array> {
    return Promise.resolve(this.#of(name)[part].slice());
  }

  write(name: string, part: ParameterPart, values: Float32Array): Promise<void> {
    this.#of(name)[part].set(values);
    return Promise.resolve();
  }

  setMask(): void {}

  merged(name: string): Promise<Float32Array> {
    this.onMerged();
    return this.read(name, "weight");
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

/** Rows of a chain of tokens with some noise; labels of the first place of each row do not count. */
export function toyBatch(vocab: number, length: number, begin: number, count: number): TrainBatch {
  const tokens = new Int32Array(count * length);
  const labels = new Int32Array(count * length);
  for (let row = 0; row < count; ++row) {
    const draw = random(begin + row + 1);
    let token = Math.floor(draw() * vocab);
    for (let at = 0; at < length; ++at) {
      const next = draw() < 0.1 ? Math.floor(draw() * vocab) : (3 * token + 1) % vocab;
      tokens[row * length + at] = token;
      labels[row * length + at] = at === 0 ? -100 : next;
      token = next;
    }
  }
  return { sequences: count, length, tokens, labels };
}

export interface ToyParts extends TrainParts {
  /** Trainers made so far. */
  trainers: ToyTrainer[];
}

export interface ToyOptions {
  /** Changes each trainer before it is used. */
  prepare?: (trainer: ToyTrainer) => void;
  fingerprint?: string;
  validation?: boolean;
}

export function toyParts({ prepare, fingerprint = "data", validation = true }: ToyOptions = {}): ToyParts {
  const trainers: ToyTrainer[] = [];
  return {
    trainers,
    createTrainer: (config) => {
      const trainer = new ToyTrainer(config);
      prepare?.(trainer);
      trainers.push(trainer);
      return trainer;
    },
    openData: ({ seqLength, steps, globalBatch }, { spec }) => {
      const split = (
        length: number,
        offset: number,
      ): { length: number; batch: (b: number, n: number) => Promise<TrainBatch> } => ({
        length,
        batch: (begin, count) => Promise.resolve(toyBatch(spec.vocabSize, seqLength, begin + offset, count)),
      });
      return Promise.resolve({
        train: split(steps * globalBatch, 0),
        validation: validation ? split(10, 1e6) : null,
        fingerprint,
        close: () => Promise.resolve(),
      });
    },
  };
}
