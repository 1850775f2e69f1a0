/** One message in its envelope: a byte of flags, four of length, the message ("Length-Prefixed-Message"). */
import { Code, ConnectError } from "@connectrpc/connect";

const HEAD_BYTES = 5;
const LENGTH_AT = 1;
const COMPRESSED = 1;

export interface Envelope {
  readonly compressed: boolean;
  readonly data: Uint8Array;
}

/** Puts the one message of a request together from pieces of any size. Every error is a ConnectError. */
export class EnvelopeReader {
  readonly #bytesMax: number;
  /** Holds `#size` bytes, and room for more. */
  #bytes: Buffer = Buffer.alloc(0);
  #size = 0;
  /** Size of the whole envelope, as soon as it is known. */
  #expected: number | undefined;

  /** `bytesMax` bounds the message; one that announces more is refused before it is kept. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  push(piece: Buffer): void {
    if (this.#size === 0) this.#bytes = piece;
    else this.#append(piece);
    this.#size += piece.length;
    if (this.#expected === undefined && this.#size >= HEAD_BYTES) this.#expected = HEAD_BYTES + this.#announced();
    if (this.#expected !== undefined && this.#size > this.#expected) {
      throw unimplemented("received extra input message for unary method");
    }
  }

  /** The message, once nothing more comes. */
  end(): Envelope {
    if (this.#size === 0) throw unimplemented("missing input message for unary method");
    if (this.#size !== this.#expected) {
      throw new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument);
    }
    const { buffer, byteOffset } = this.#bytes;
    // A plain view: a Buffer would give the message's bytes fields methods of its own.
    const data = new Uint8Array(buffer, byteOffset + HEAD_BYTES, this.#size - HEAD_BYTES);
    return { compressed: (this.#bytes.readUInt8(0) & COMPRESSED) !== 0, data };
  }

  #announced(): number {
    const length = this.#bytes.readUInt32BE(LENGTH_AT);
    if (length > this.#bytesMax) {
      const message = `message size ${length} is larger than configured readMaxBytes ${this.#bytesMax}`;
      throw new ConnectError(message, Code.ResourceExhausted);
    }
    return length;
  }

  /** Copies, so that many small pieces cost no more than their bytes. */
  #append(piece: Buffer): void {
    const needed = this.#size + piece.length;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, needed));
      grown.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = grown;
    }
    this.#bytes.set(piece, this.#size);
  }
}

const unimplemented = (problem: string) => new ConnectError(`protocol error: ${problem}`, Code.Unimplemented);

export function encodeEnvelope({ compressed, data }: Envelope): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + data.length);
  bytes.writeUInt8(compressed ? COMPRESSED : 0);
  bytes.writeUInt32BE(data.length, LENGTH_AT);
  bytes.set(data, HEAD_BYTES);
  return bytes;
}
