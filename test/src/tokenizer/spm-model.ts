/** Reads the pieces of a SentencePiece .model (a protobuf) into the GGUF metadata they become. */
import { readFileSync } from "node:fs";

interface Piece {
  text: string;
  score: number;
  type: number;
}

class Reader {
  offset = 0;

  constructor(readonly bytes: Buffer) {}

  get done(): boolean {
    return this.offset >= this.bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes.readUInt8(this.offset++);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  /** The next field: its number and value (a number, or bytes). */
  field(): { number: number; value: number | Buffer } {
    const tag = this.varint();
    const number = tag >> 3;
    if ((tag & 7) === 0) return { number, value: this.varint() };
    if ((tag & 7) === 5) return { number, value: this.bytes.readFloatLE((this.offset += 4) - 4) };
    const length = this.varint();
    this.offset += length;
    return { number, value: this.bytes.subarray(this.offset - length, this.offset) };
  }
}

function readPiece(bytes: Buffer): Piece {
  const piece: Piece = { text: "", score: 0, type: 1 };
  for (const reader = new Reader(bytes); !reader.done;) {
    const { number, value } = reader.field();
    if (number === 1) piece.text = value.toString();
    if (number === 2) piece.score = value as number;
    if (number === 3) piece.type = value as number;
  }
  return piece;
}

export function sentencePieceMetadata(path: string): Record<string, unknown> {
  const pieces: Piece[] = [];
  for (const reader = new Reader(readFileSync(path)); !reader.done;) {
    const { number, value } = reader.field();
    if (number === 1) pieces.push(readPiece(value as Buffer));
  }
  return {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": pieces.map((piece) => piece.text),
    "tokenizer.ggml.scores": pieces.map((piece) => piece.score),
    "tokenizer.ggml.token_type": pieces.map((piece) => piece.type),
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
  };
}
