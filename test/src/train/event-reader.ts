/** Reads TensorBoard event files again, checking every checksum; written from the format's description alone. */
import { readFileSync } from "node:fs";
import { crc32c } from "../../../src/files/crc32c.js";

export interface ReadEvent {
  wallTime: number;
  step: number;
  fileVersion?: string;
  scalars: Record<string, number>;
}

export function readEvents(path: string): ReadEvent[] {
  const file = readFileSync(path);
  const events: ReadEvent[] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    check(file.subarray(at, at + 8), file.readUInt32LE(at + 8), `length at ${at}`);
    const data = file.subarray(at + 12, at + 12 + length);
    if (data.length !== length) throw new Error(`record at ${at} is cut off`);
    check(data, file.readUInt32LE(at + 12 + length), `data at ${at}`);
    events.push(parseEvent(data));
    at += length + 16;
  }
  return events;
}

function check(bytes: Uint8Array, masked: number, what: string): void {
  const rotated = (masked - 0xa282ead8) >>> 0;
  const crc = ((rotated >>> 17) | (rotated << 15)) >>> 0;
  if (crc32c(bytes) !== crc) throw new Error(`wrong checksum of the ${what}`);
}

function parseEvent(data: Buffer): ReadEvent {
  const event: ReadEvent = { wallTime: NaN, step: 0, scalars: {} };
  for (const { field, value } of fields(data)) {
    if (field === 1) event.wallTime = (value as Buffer).readDoubleLE();
    if (field === 2) event.step = value as number;
    if (field === 3) event.fileVersion = String(value);
    if (field === 5)
      for (const summary of fields(value as Buffer)) {
        const [tag, simple] = fields(summary.value as Buffer);
        event.scalars[String(tag?.value)] = (simple?.value as Buffer).readFloatLE();
      }
  }
  return event;
}

function* fields(data: Buffer): Generator<{ field: number; value: number | Buffer }> {
  let at = 0;
  const varint = (): number => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = data[at++];
      if (byte === undefined) throw new Error("a number is cut off");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  const take = (length: number): Buffer => data.subarray(at, (at += length));
  while (at < data.length) {
    const key = varint();
    const [field, wire] = [key >>> 3, key & 7];
    if (wire === 0) yield { field, value: varint() };
    else if (wire === 1) yield { field, value: take(8) };
    else if (wire === 2) yield { field, value: take(varint()) };
    else if (wire === 5) yield { field, value: take(4) };
    else throw new Error(`wire type ${wire}`);
  }
}
