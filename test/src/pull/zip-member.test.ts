import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { extractZipMember } from "../../../src/pull/zip-member.js";
import { temporaryDirectory } from "../../temporary.js";

interface Entry {
  name: string;
  content: Buffer;
  method?: number;
  /** A size the directory lies about. */
  sizeBytes?: number;
}

function zip(entries: Entry[]): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content, method = 8, sizeBytes = content.length } of entries) {
    const packed = method === 8 ? deflateRawSync(content) : content;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50);
    local.writeUInt16LE(name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(sizeBytes, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(offset, 42);
    bodies.push(local, Buffer.from(name), packed);
    directory.push(entry, Buffer.from(name));
    offset += 30 + name.length + packed.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...bodies, ...directory, end]);
}

const content = Buffer.from("espalier ".repeat(50_000));

async function extract(bytes: Buffer): Promise<Buffer> {
  const folder = temporaryDirectory();
  const [path, target] = [join(folder, "a.zip"), join(folder, "out")];
  writeFileSync(path, bytes);
  await extractZipMember(path, (name) => name.endsWith("/wanted"), target);
  return readFileSync(target);
}

describe("one member of a zip file", () => {
  it.each([0, 8])("packed by method %d", async (method) => {
    const bytes = zip([
      { name: "a/other", content: Buffer.from("x") },
      { name: "a/wanted", content, method },
    ]);
    expect((await extract(bytes)).equals(content)).toBe(true);
    expect(
      (await extract(Buffer.concat([bytes.subarray(0, -2), Buffer.from([3, 0]), Buffer.from("abc")]))).length,
    ).toBe(content.length);
  });

  const whole = zip([{ name: "a/wanted", content }]);
  it.each([
    ["no such member", zip([{ name: "b", content }]), /found 0/],
    [
      "two such members",
      zip([
        { name: "a/wanted", content },
        { name: "b/wanted", content },
      ]),
      /found 2/,
    ],
    ["more than promised", zip([{ name: "a/wanted", content, sizeBytes: 10 }]), /longer than the 10 bytes/],
    ["less than promised", zip([{ name: "a/wanted", content, sizeBytes: 1e6 }]), /ends at 450000 of 1000000/],
    ["an unknown method", zip([{ name: "a/wanted", content, method: 12 }]), /method 12/],
    ["a torn file", whole.subarray(0, -30), /no end record/],
    ["an empty file", Buffer.alloc(0), /no end record/],
    [
      "a directory elsewhere",
      Buffer.concat([whole.subarray(0, -6), Buffer.from([255, 255, 255, 127, 0, 0])]),
      /outside/,
    ],
  ])("%s", async (_name, bytes, message) => {
    await expect(extract(bytes)).rejects.toMatchObject({
      code: "ERR_PULL_RESPONSE",
      message: expect.stringMatching(message),
    });
  });

  it("damaged contents", async () => {
    const bytes = zip([{ name: "a/wanted", content }]);
    bytes.fill(0xff, 45, 60);
    await expect(extract(bytes)).rejects.toThrow();
  });
});
