// SPDX-License-Identifier: Apache-2.0
export { binPath, dtypeForVocab, idxPath, type TokenDtype } from "./layout.js";
export { IndexedDataset } from "./reader.js";
export { DOCUMENT_END, IndexedDatasetWriter, type WriterState } from "./writer.js";
