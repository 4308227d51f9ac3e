import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32c } from "../../../src/files/crc32c.js";
import { EventFile } from "../../../src/train/event-file.js";
import { temporaryDirectory } from "../../temporary.js";
import { readEvents } from "./event-reader.js";

describe("crc32c", () => {
  it("has the known values of RFC 3720", () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
    expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(0))).toBe(0);
  });
});

/** Written by TensorBoard: test/oracles/tensorboard_events.py. */
const fixture = join(__dirname, "../../fixtures/train/tensorboard.tfevents");

describe("EventFile", () => {
  it("writes byte for byte what TensorBoard writes", async () => {
    const path = join(temporaryDirectory(), "events");
    jest.spyOn(Date, "now").mockReturnValueOnce(1_000_500);
    const file = await EventFile.open(path, 0);
    const scalars = [
      { tag: "loss", value: 1.5 },
      { tag: "learning-rate", value: 1e-4 },
    ];
    await file.write(1, scalars, 1001.5);
    await file.write(2 ** 40 + 3, [{ tag: "loss vs samples", value: -2.25 }], 1000.5 + ((2 ** 40 + 3) % 7));
    await file.close();
    expect(readFileSync(path)).toEqual(readFileSync(fixture));
    expect(readEvents(fixture)[2]).toMatchObject({ step: 2 ** 40 + 3, scalars: { "loss vs samples": -2.25 } });
  });

  it("writes what can be read again, large steps too", async () => {
    const path = join(temporaryDirectory(), "events");
    const file = await EventFile.open(path, 0);
    await file.write(
      1,
      [
        { tag: "loss", value: 1.5 },
        { tag: "learning-rate", value: 1e-4 },
      ],
      1000.25,
    );
    await file.write(2 ** 40 + 3, [{ tag: "größe vs samples", value: -0 }], 1001);
    await file.sync();
    await file.close();
    const [version, first, second] = readEvents(path);
    expect(version?.fileVersion).toBe("brain.Event:2");
    expect(first).toEqual({ wallTime: 1000.25, step: 1, scalars: { loss: 1.5, "learning-rate": Math.fround(1e-4) } });
    expect(second).toEqual({ wallTime: 1001, step: 2 ** 40 + 3, scalars: { "größe vs samples": -0 } });
  });

  it("goes on from where it is told to", async () => {
    const path = join(temporaryDirectory(), "events");
    const file = await EventFile.open(path, 0);
    await file.write(1, [{ tag: "loss", value: 1 }], 0);
    const { sizeBytes } = file;
    await file.write(2, [{ tag: "loss", value: 2 }], 0);
    await file.close();
    const again = await EventFile.open(path, sizeBytes);
    await again.write(2, [{ tag: "loss", value: 3 }], 0);
    await again.close();
    expect(readEvents(path).map((event) => event.scalars["loss"])).toEqual([undefined, 1, 3]);
  });

  it("is not read when a bit differs", async () => {
    const path = join(temporaryDirectory(), "events");
    const file = await EventFile.open(path, 0);
    await file.write(1, [{ tag: "loss", value: 1 }], 0);
    await file.close();
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; ++at) {
      const wrong = Buffer.from(bytes);
      wrong[at] = (wrong[at] ?? 0) ^ 4;
      writeFileSync(path, wrong);
      expect(() => readEvents(path)).toThrow();
    }
  });
});
