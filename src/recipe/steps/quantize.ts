// SPDX-License-Identifier: Apache-2.0
import { quantize, quantizeSchema, resolveQuantizeOptions, type QuantizeOptions } from "../../quantize/index.js";
import { fieldsOf, stepKind } from "../step-kind.js";

/** A quantized model. */
export const quantizeStep = stepKind({
  verb: "quantize",
  options: fieldsOf(quantizeSchema).filter((name) => name !== "dryRun"),
  paths: { model: ["model"], perplexity: ["text"], calibration: ["text"] },
  makes: "model",
  parse: (given, directory): QuantizeOptions => {
    const options = { ...given, out: directory } as QuantizeOptions;
    resolveQuantizeOptions(options);
    return options;
  },
  run: async (options, { directory, signal, onProgress }) => {
    const outcome = await quantize(options, {
      ...(signal === undefined ? {} : { signal }),
      onCalibration: (event) => {
        if (event.kind !== "pass") return;
        onProgress({ verb: "quantize", event: { tensor: "calibration", done: event.done, total: event.total } });
      },
      onProgress: (event) => onProgress({ verb: "quantize", event }),
    });
    return { product: directory, outcome };
  },
});
