/** Keys that are no secret of the webhook's: certificates and published keys, which somebody else must fetch. */
import { KeyObject } from "node:crypto";
import { type Refusal, refusal } from "./verdict.ts";

export type FetchedKey = KeyObject;

/** An answer of the vendor's, complete. */
export interface KeyAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** What an answer is judged by. */
export interface KeyTrust {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** PEM certificates at which a chain must end. */
  readonly roots: readonly string[];
}

/** A key without which a request cannot be judged. */
export interface NeededKey {
  /** What it is known by: two needs with the same id are for the same key. Holds no credential. */
  readonly keyId: string;
  /** An https URL on a host that the scheme pins. */
  readonly url: string;
  /** JSON to POST, which may hold credentials; a GET without it. */
  readonly post?: string;
  /**
   * Reads the answer. Undefined: the vendor knows no such key, or the answer does not prove one. Throws for an answer
   * that says nothing about the key (an error of the vendor's).
   */
  read(answer: KeyAnswer, trust: KeyTrust): FetchedKey | undefined;
}

/** A key that has been fetched; null where the vendor knows none, undefined where nobody has asked. */
export type KeyLookup = (needed: NeededKey) => FetchedKey | null | undefined;

/** The key at hand, or what to do about its absence. `name` is where the request names it. */
export function resolveKey(needed: NeededKey, name: string, fetched: KeyLookup): FetchedKey | NeededKey | Refusal {
  const key = fetched(needed);
  if (key === null) return refusal("signature", `${name} names no key that its vendor has published and that is valid`);
  return key ?? needed;
}

/** Tells a key from the other answers of `resolveKey`. */
export const isKey = (answer: FetchedKey | NeededKey | Refusal): answer is FetchedKey => answer instanceof KeyObject;

/** Answers that say that there is nothing there. */
const NOTHING = new Set([400, 403, 404, 410]);

/** Whether the answer has content (200); false where it says that there is none. Throws for any other answer. */
export function hasContent({ status }: KeyAnswer): boolean {
  if (status === 200 || NOTHING.has(status)) return status === 200;
  throw new Error(`the vendor answered ${status}`);
}

/** Tells a needed key from any other outcome. */
export function isNeededKey(outcome: object): outcome is NeededKey {
  return "keyId" in outcome;
}
