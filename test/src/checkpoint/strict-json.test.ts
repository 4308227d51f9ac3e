import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseStrictJson, readJsonObject, readTextFile } from "../../../src/checkpoint/strict-json.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const parse = (text: string): unknown => parseStrictJson(text, "f.json");

it.each([
  "{}",
  '{"a":{"a":1},"b":["a","a",{"a":2}]}',
  '"a"',
  '{"a":"b","b":"a\\":"}',
  '{"\\\\":1,"\\\\\\\\":2}',
  ' [ "x" , { "y" : "y" } ] ',
])("reads %s", (text) => {
  expect(parse(text)).toEqual(JSON.parse(text));
});

it.each(['{"a":1,"a":2}', '[{"b":{"a":1 ,\n"a" \t: 2}}]', '{"\\u0061":1,"a":2}', '{"__proto__":1,"__proto__":2}'])(
  "refuses the key twice in %s",
  (text) => {
    expect(() => parse(text)).toThrow(coded("ERR_JSON", "f.json", "twice"));
  },
);

it("reads long strings, refuses deep nesting and what is no JSON", () => {
  const long = "x".repeat(20_000_000);
  expect(parse(`{"${long}":"${long}"}`)).toEqual({ [long]: long });
  expect(() => parse("[".repeat(100_000) + "]".repeat(100_000))).toThrow(coded("ERR_JSON", "nested"));
  expect(() => parse('{"a":')).toThrow(coded("ERR_JSON", "f.json", "not JSON"));
});

it("names the file that is missing, too large or of another kind", async () => {
  const path = join(temporaryDirectory(), "x.json");
  await expect(readTextFile(path)).rejects.toThrow(coded("ERR_FILE_OPEN", path));
  writeFileSync(path, "[]");
  await expect(readJsonObject(path)).rejects.toThrow(coded("ERR_JSON", path, "an array"));
  truncateSync(path, (1 << 26) + 1);
  await expect(readTextFile(path)).rejects.toThrow(coded("ERR_FILE_OPEN", path, "67108865"));
});
