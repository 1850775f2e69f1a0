/** What verification answers. Reasons are shown to people and stored: no secret and no signature stands in them. */

export const CHECKS = [
  /** No header (or field) that could hold the signature. */
  "missing_signature",
  /** It is there, but holds nothing of the right form. */
  "malformed_signature",
  /** Another signed part is missing. */
  "missing_field",
  /** Another signed part is of no allowed form. */
  "malformed_field",
  /** The timestamp is missing, malformed or too far from now. */
  "timestamp",
  /** No signature matches under any active secret. */
  "signature",
  /** The request uses more than one form. */
  "ambiguous",
  /** No active secret can key this scheme. */
  "secret",
] as const;

/** The check that refused a request. */
export type Check = (typeof CHECKS)[number];

/** Which check failed, and a sentence that says what would help. */
export interface Refusal {
  readonly check: Check;
  readonly reason: string;
}

/**
 * `secretIndex` is the place, in the list given to `prepareSecrets`, of the secret that matched. `verified` is false
 * where nothing was to be verified.
 */
export type Verdict =
  | { readonly valid: true; readonly scheme: string; readonly secretIndex: number; readonly verified: boolean }
  | { readonly valid: false; readonly scheme: string; readonly check: Check; readonly reason: string };

export function refusal(check: Check, reason: string): Refusal {
  return { check, reason };
}

/** Tells a refusal from any other outcome of a step. */
export function isRefusal(outcome: object): outcome is Refusal {
  return "check" in outcome;
}
