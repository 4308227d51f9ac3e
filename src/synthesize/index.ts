// SPDX-License-Identifier: Apache-2.0
export { resolveSynthesizeOptions, synthesizeSchema, textFormats, type SynthesizeOptions } from "./config.js";
export { dropReasons, type DropReason } from "./filter.js";
export { synthesize, type SynthesizeHooks, type SynthesizeProgress, type SynthesizeReport } from "./synthesize.js";
