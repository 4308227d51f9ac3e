// SPDX-License-Identifier: Apache-2.0
export { encodeRecord, recordBytes, type RecordLayout } from "./layout.js";
export {
  MANIFEST,
  readTeacherLogitsManifest,
  shardName,
  totalBytes,
  totalSamples,
  type TeacherLogitsManifest,
  type TeacherLogitsPlan,
} from "./manifest.js";
export { TeacherLogits, type LogitsUse } from "./reader.js";
export { logitsUse, validationSamples, withCachedTeacher } from "./use.js";
