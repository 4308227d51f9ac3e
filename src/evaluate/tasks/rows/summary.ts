/** Summaries of articles, in the columns of CNN/DailyMail and XSum, by ROUGE. The harness has no such task. */
import type { Fields } from "../fields.js";
import { rouge } from "../rouge.js";
import type { GenerateDocument, GenerateTask } from "../types.js";

function read(fields: Fields): GenerateDocument {
  const article = fields.text(fields.has("article") ? "article" : "document");
  const target = fields.text(fields.has("highlights") ? "highlights" : "summary");
  return { context: `Article: ${article}\nSummary:`, target };
}

export const summary: GenerateTask = {
  name: "summary",
  kind: "generate",
  fields: "article or document, highlights or summary",
  shots: 0,
  sampler: "random",
  spareShot: false,
  metrics: ["rougeL", "rouge1", "rouge2"],
  until: ["Article:", "\n\n"],
  maxTokens: 128,
  read,
  score: (answer, { target }) => rouge(target, answer),
};
