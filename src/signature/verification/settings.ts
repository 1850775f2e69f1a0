/**
 * A webhook's own description of how its requests are verified, in place of its source's preset: as the API takes it
 * and as it is stored. `scheme.ts` beside it makes a scheme of it, which the engine runs like a preset's.
 */
import type {
  HmacAlgorithm,
  KeyRule,
  PublicKeyAlgorithm,
  PublicKeyRule,
  RepeatPolicy,
  Scheme,
  SignatureEncoding,
  TimestampPlace,
} from "../scheme.ts";

/** The schemes that are described by the settings alone. */
export const GENERAL_SCHEMES = ["hmac", "public-key", "token", "basic", "none"] as const;
export type GeneralScheme = (typeof GENERAL_SCHEMES)[number];

/** Absent settings have their defaults. Bounds of lengths and numbers stand in `verification.proto`. */
export interface Verification {
  /** A general scheme, or the name of the only form of the source that is accepted; absent: the preset. */
  readonly scheme?: string;
  readonly header?: string;
  readonly bodyField?: string;
  readonly prefix?: string;
  readonly list?: VerificationList;
  readonly algorithm?: HmacAlgorithm | PublicKeyAlgorithm;
  readonly encoding?: SignatureEncoding;
  readonly content?: string;
  readonly timestamp?: VerificationTimestamp;
  readonly key?: VerificationKey;
  readonly eventType?: readonly string[];
  readonly eventId?: readonly string[];
  readonly repeats?: RepeatPolicy;
}

export interface VerificationList {
  readonly separator?: " " | "," | ";";
  readonly keySeparator?: "=" | ",";
  readonly key?: string;
}

export interface VerificationTimestamp {
  readonly header?: string;
  readonly bodyField?: string;
  readonly listKey?: string;
  readonly unit?: TimestampPlace["unit"];
  readonly toleranceSeconds?: number;
  readonly futureToleranceSeconds?: number;
}

export interface VerificationKey {
  readonly decoding?: KeyRule["decode"] | PublicKeyRule["decode"];
  readonly prefix?: string;
}

/** What the settings leave to the preset: where type and id stand. */
export type Identity = Pick<Scheme, "type" | "id">;

/** What is wrong with a setting. `message` is a phrase to stand after the field's name. */
export class VerificationError extends Error {
  override readonly name = "VerificationError";
  /** JSON path below `verification`. */
  readonly field: string;
  readonly rule: string;

  constructor(field: string, rule: string, message: string) {
    super(message);
    this.field = field;
    this.rule = rule;
  }
}
