/** What every kind of scheme does, whatever it verifies with: read keys, judge a request, sign one. */
import type { KeyLookup, NeededKey } from "./needed-key.ts";
import type { CompiledPlace } from "./place.ts";
import type { InboundRequest } from "./request.ts";
import type { Refusal } from "./verdict.ts";

/** A key, or what is wrong with the text: a phrase to stand after "the secret" or "secret:", which never quotes it. */
export type ParsedKey<Key> =
  | { readonly ok: true; readonly key: Key }
  | { readonly ok: false; readonly problem: string };

/** The key of the secret that stands at `index` among the active ones. */
export interface IndexedKey<Key> {
  readonly key: Key;
  readonly index: number;
}

export interface JudgeContext {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  readonly fetched: KeyLookup;
}

/** The index of the secret that matched, why the request is refused, or the key without which it cannot be judged. */
export type Outcome = number | Refusal | NeededKey;

/** A request of our own in the making, for a test event. `sign` completes it. */
export interface Draft {
  /** By lower-case name. */
  readonly headers: Map<string, string>;
  body: Buffer;
  readonly method: string;
  url: string | undefined;
  target: string | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

export interface Method<Key> {
  /** The kind of key. Going over to another kind needs another secret. */
  readonly keyKind: string;
  /** What a secret's text must be, in words. */
  readonly secretForm: string;
  /** Where that stands by which requests of this form are known. None: every request is of this form. */
  readonly places: readonly CompiledPlace[];
  /** Whether the signature covers the URL, which only PUBLIC_URL tells. */
  readonly needsUrl: boolean;
  /** Headers (lower case) that show the secret itself. */
  readonly credentialHeaders?: readonly string[];
  /** Where the sender's time stands in a JSON body, and its unit. */
  readonly bodyTimestamp?: { readonly path: readonly string[]; readonly unit: "s" | "ms" | "iso" };
  /** Decodes a secret's text. */
  readKey(text: string): ParsedKey<Key>;
  /** A new secret's text; not where only the provider can make it. */
  generate?(): string;
  /** Judges a request that bears this form. `keys` has at least one. Never throws for anything in the request. */
  judge(
    keys: readonly [IndexedKey<Key>, ...IndexedKey<Key>[]],
    request: InboundRequest,
    context: JudgeContext,
  ): Outcome;
  /** What of a verified request is signed, where that is not just the body, without what changes from try to try. */
  signedContent?(request: InboundRequest): readonly (string | Buffer)[];
  /** Completes the draft as the sender would. Throws SigningError. Not where that takes a private key. */
  sign?(key: Key, draft: Draft, text: string): void;
}

/** Judges requests with the keys of one webhook. */
export type Judge = (request: InboundRequest, context: JudgeContext) => Outcome;

/** A method whose kind of key is its own affair. */
export interface BoundMethod extends Omit<Method<unknown>, "readKey" | "judge" | "sign"> {
  /** What is wrong with a secret's text; undefined if nothing. */
  secretProblem(text: string): string | undefined;
  /** Undefined if none of the texts is a key. */
  prepare(texts: readonly string[]): Judge | undefined;
  /** Undefined where signing takes a private key. Throws SigningError, for a text that is no key too. */
  readonly sign?: (text: string, draft: Draft) => void;
}

/** A request cannot be signed as asked. The message contains neither secret nor signature. */
export class SigningError extends Error {
  override readonly name = "SigningError";
}

export function bindMethod<Key>(method: Method<Key>): BoundMethod {
  const { readKey, judge, sign, ...rest } = method;
  return {
    ...rest,
    secretProblem(text) {
      const parsed = readKey(text);
      return parsed.ok ? undefined : parsed.problem;
    },
    prepare(texts) {
      const [first, ...others] = texts.flatMap((text, index) => {
        const parsed = readKey(text);
        return parsed.ok ? [{ key: parsed.key, index }] : [];
      });
      if (first === undefined) return undefined;
      const keys = [first, ...others] as const;
      return (request, context) => judge(keys, request, context);
    },
    ...(sign && {
      sign(text, draft) {
        const parsed = readKey(text);
        if (!parsed.ok) throw new SigningError(`the secret ${parsed.problem}`);
        sign(parsed.key, draft, text);
      },
    }),
  };
}
