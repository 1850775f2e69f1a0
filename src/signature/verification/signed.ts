/** Signatures by a webhook's own settings: where they stand, how they are written, what they cover and when. */
import type { SignaturePlace, TimestampPlace } from "../scheme.ts";
import type { Chunk } from "../template.ts";
import { type Coverage, coverageOf, identityOf, lookupOf } from "./identity.ts";
import { checkHeaderName, checkPath, readTemplate } from "./places.ts";
import { type Identity, type Verification, VerificationError } from "./settings.ts";

/** How far from now a timestamp may be where nothing is said, seconds: what Standard Webhooks suggests. */
const TOLERANCE_SECONDS_DEFAULT = 300;

/** Printable ASCII; white space before a value is no part of it. */
const PREFIX = /^(?! )[\x20-\x7e]*$/;
const LIST_KEY = /^[\w.-]{1,50}$/;
/** What a template must hold at least one of. */
const FROM_BODY: ReadonlySet<string> = new Set(["body", "sortedForm", "json"]);

/** What schemes with signatures have in common, whatever they sign with. */
export function signedParts(settings: Verification, defaults: Identity) {
  const { content = "{body}", encoding = "hex" } = settings;
  checkPrefix(settings);
  const sig: SignaturePlace = { ...placeOf(settings), ...listOf(settings) };
  const ts = timestampOf(settings);
  const covers = checkContent(readTemplate("content", content), settings, ts);
  return { sig, enc: encoding, content, ...(ts && { ts }), ...identityOf(settings, defaults, covers) };
}

/** What separates items ends a prefix as well; a comma does so in any header, because repeated ones are joined by it. */
function checkPrefix({ prefix, list }: Verification): void {
  if (prefix === undefined || prefix === "") return;
  if (list?.keySeparator === ",") {
    throw new VerificationError("prefix", "pair", 'is of no use where list.keySeparator is ","');
  }
  if (prefix.includes(",") || prefix.includes(list?.separator ?? ",")) {
    throw new VerificationError("prefix", "text", "must contain neither a comma nor the list's separator");
  }
}

/** What the content covers: something of the body, the timestamp, and not the signature, which nobody could sign. */
function checkContent(chunks: readonly Chunk[], settings: Verification, ts: TimestampPlace | undefined): Coverage {
  if (!chunks.some((chunk) => FROM_BODY.has(chunk.from))) {
    const advice = "{body}, {sortedForm} or fields as {json:path}";
    throw new VerificationError("content", "body", `must take in the body: ${advice}`);
  }
  const isStamped = chunks.some((chunk) => chunk.from === "ts");
  if (isStamped && ts === undefined) {
    throw new VerificationError("timestamp", "required", "is needed for {ts} in content");
  }
  const covers = coverageOf(chunks, ts);
  if (ts !== undefined && !isStamped && !(ts.from !== "sig" && covers(lookupOf(ts)))) {
    throw new VerificationError("content", "timestamp", "must contain {ts}: a time that is not signed proves nothing");
  }
  if (covers(lookupOf(placeOf(settings)))) {
    const advice = "take other fields as {json:path}";
    throw new VerificationError("content", "signature", `must leave out what holds the signature: ${advice}`);
  }
  return covers;
}

/** The header or the field of the body, and what stands before the value there. */
export function placeOf({ header, bodyField, prefix }: Verification) {
  if ((header === undefined) === (bodyField === undefined)) {
    throw new VerificationError("header", "place", "must be given, or bodyField in its place");
  }
  if (prefix !== undefined && !PREFIX.test(prefix)) {
    throw new VerificationError("prefix", "text", "must be printable ASCII that does not begin with a space");
  }
  const before = prefix ? { prefix } : {};
  if (header !== undefined) {
    checkHeaderName("header", header);
    return { from: "header", name: header, ...before } as const;
  }
  checkPath("bodyField", bodyField ?? "");
  return { from: "body", name: bodyField ?? "", ...before } as const;
}

function listOf({ list }: Verification): Pick<SignaturePlace, "item" | "kv" | "key"> {
  if (list === undefined) return {};
  const { separator, keySeparator, key } = list;
  if ((keySeparator === undefined) !== (key === undefined)) {
    throw new VerificationError("list.key", "pair", "must be given together with list.keySeparator");
  }
  checkListKey("list.key", key);
  if (keySeparator === undefined) return { item: separator ?? "," };
  if (keySeparator === "," && separator === ",") {
    throw new VerificationError("list.separator", "pair", 'must be " " or ";" where keySeparator is ","');
  }
  return {
    item: separator ?? (keySeparator === "," ? " " : ","),
    kv: keySeparator,
    ...(key === undefined ? {} : { key }),
  };
}

function timestampOf({ timestamp, list }: Verification): TimestampPlace | undefined {
  if (timestamp === undefined) return undefined;
  const { header, bodyField, listKey, unit = "s" } = timestamp;
  if ([header, bodyField, listKey].filter((it) => it !== undefined).length !== 1) {
    throw new VerificationError("timestamp.header", "place", "must be given, or bodyField or listKey in its place");
  }
  const {
    toleranceSeconds: tol = TOLERANCE_SECONDS_DEFAULT,
    futureToleranceSeconds: future = TOLERANCE_SECONDS_DEFAULT,
  } = timestamp;
  if (header !== undefined) {
    checkHeaderName("timestamp.header", header);
    return { from: "header", name: header, unit, tol, future };
  }
  if (bodyField !== undefined) {
    checkPath("timestamp.bodyField", bodyField);
    return { from: "body", name: bodyField, unit, tol, future };
  }
  checkListKey("timestamp.listKey", listKey);
  if (list?.key === undefined || list.key === listKey) {
    throw new VerificationError("timestamp.listKey", "pair", "needs list.key, which must be another");
  }
  return { from: "sig", name: listKey ?? "", unit, tol, future };
}

function checkListKey(field: string, key: string | undefined): void {
  if (key !== undefined && !LIST_KEY.test(key)) {
    throw new VerificationError(field, "text", "must be letters, digits, hyphens, underscores or dots");
  }
}
