/** The one place where secrets, and what proves that somebody has one, are compared: in constant time. */
import { createHash, timingSafeEqual } from "node:crypto";

/** Whether the bytes are the same. Those of another length are not: how long a digest is, is no secret. */
export function sameBytes(left: Buffer, right: Buffer): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Whether the texts are the same, by their hashes, so that not even a length shows. */
export function sameText(left: string, right: string): boolean {
  return sameBytes(hash(left), hash(right));
}

const hash = (text: string): Buffer => createHash("sha256").update(text, "utf8").digest();
