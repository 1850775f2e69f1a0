/** Settings that make no sense are refused by the name of the one that is at fault. */
import { describe, expect, test } from "vitest";
import { PATH_STEPS_MAX } from "../../../src/signature/verification/places.ts";
import { type Verification, VerificationError } from "../../../src/signature/verification/settings.ts";
import { findSourceWith } from "../../../src/signature/verification/source.ts";

const HMAC = { scheme: "hmac", header: "x-sig" } as const;
const LISTED = { ...HMAC, list: { keySeparator: "=", key: "v1" } } as const;
const STAMPED = { ...HMAC, content: "{ts}.{body}" } as const;
const ED25519 = { scheme: "public-key", header: "x-sig", algorithm: "ed25519", key: { decoding: "raw-hex" } } as const;

/** `field rule` of the refusal. */
function refusalOf(settings: object, source = "custom"): string {
  try {
    findSourceWith(source, settings as Verification);
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    expect(error.message).toMatch(/^(must|is|needs|takes|"[a-z-]+" needs) /);
    return `${error.field} ${error.rule}`;
  }
  return "accepted";
}

const cases: [name: string, settings: object, refusal: string, source?: string][] = [
  ["an unknown scheme", { scheme: "hmac-sha256" }, "scheme in"],
  ["a form of another source", { scheme: "stripe" }, "scheme in"],
  ["a form of custom, for stripe", { scheme: "hub-signature-256" }, "scheme in", "stripe"],

  ["a header without a scheme", { header: "x-sig" }, "header unused"],
  ["a key with a pinned form", { scheme: "standardwebhooks", key: {} }, "key unused"],
  ["a header of the timestamp without a scheme", { timestamp: { header: "x-time" } }, "timestamp.header unused"],
  ["a unit without a scheme", { timestamp: { unit: "ms" } }, "timestamp.unit unused"],
  ["a tolerance where nothing is timed", { timestamp: { toleranceSeconds: 9 } }, "timestamp unused", "github"],
  [
    "a tolerance with a form without",
    { scheme: "hub-signature-256", timestamp: { toleranceSeconds: 9 } },
    "timestamp unused",
  ],
  ["an algorithm with token", { scheme: "token", header: "x-token", algorithm: "sha1" }, "algorithm unused"],
  ["a timestamp with token", { scheme: "token", header: "x-token", timestamp: {} }, "timestamp unused"],
  ["a header with basic", { scheme: "basic", header: "authorization" }, "header unused"],
  ["a key with none", { scheme: "none", key: {} }, "key unused"],

  ["no place", { scheme: "hmac" }, "header place"],
  ["two places", { ...HMAC, bodyField: "sig" }, "header place"],
  ["a token without a place", { scheme: "token" }, "header place"],
  ["a header with a space", { ...HMAC, header: "x sig" }, "header header"],
  ["a header with a colon", { ...HMAC, header: "x-sig:" }, "header header"],
  ["a pseudo header", { ...HMAC, header: ":path" }, "header header"],
  ["an empty step", { scheme: "hmac", bodyField: "a..b" }, "bodyField path"],
  [
    "too many steps",
    {
      scheme: "hmac",
      bodyField: Array(PATH_STEPS_MAX + 1)
        .fill("a")
        .join("."),
    },
    "bodyField path",
  ],
  ["a far member of a list", { scheme: "hmac", bodyField: "items.100.sig" }, "bodyField path"],
  ["a prototype", { scheme: "hmac", bodyField: "__proto__.sig" }, "bodyField path"],
  ["a control character", { scheme: "hmac", bodyField: "a\u0007" }, "bodyField path"],
  ["a prefix with a comma", { ...HMAC, prefix: "a,b" }, "prefix text"],
  ["a prefix after a space", { ...HMAC, prefix: " v1=" }, "prefix text"],
  ["a prefix with the list's separator", { ...HMAC, prefix: "HMAC ", list: { separator: " " } }, "prefix text"],
  [
    "a prefix where commas part key and value",
    { ...HMAC, prefix: "v1=", list: { keySeparator: ",", key: "v1" } },
    "prefix pair",
  ],
  ["a prefix that is not ASCII", { ...HMAC, prefix: "ü=" }, "prefix text"],

  ["a public key's algorithm", { ...HMAC, algorithm: "ed25519" }, "algorithm in"],
  ["a public key's decoding", { ...HMAC, key: { decoding: "spki" } }, "key.decoding in"],
  ["an HMAC's algorithm", { ...ED25519, algorithm: "sha256" }, "algorithm in"],
  ["a public key without algorithm", { ...ED25519, algorithm: undefined }, "algorithm in"],
  ["Ed25519 without decoding", { ...ED25519, key: undefined }, "key.decoding in"],
  ["Ed25519 with an HMAC's decoding", { ...ED25519, key: { decoding: "hex" } }, "key.decoding in"],
  ["RSA with a raw key", { ...ED25519, algorithm: "rsa-sha256" }, "key.decoding in"],

  ["a list's key alone", { ...HMAC, list: { key: "v1" } }, "list.key pair"],
  ["a list's key separator alone", { ...HMAC, list: { keySeparator: "=" } }, "list.key pair"],
  ["a key with a separator in it", { ...HMAC, list: { keySeparator: "=", key: "v=1" } }, "list.key text"],
  ["commas for both", { ...HMAC, list: { separator: ",", keySeparator: ",", key: "v1" } }, "list.separator pair"],

  ["a timestamp without a place", { ...STAMPED, timestamp: {} }, "timestamp.header place"],
  ["a timestamp in two places", { ...STAMPED, timestamp: { header: "t", listKey: "t" } }, "timestamp.header place"],
  ["a timestamp's header", { ...STAMPED, timestamp: { header: "x t" } }, "timestamp.header header"],
  ["a timestamp's path", { ...STAMPED, timestamp: { bodyField: "" } }, "timestamp.bodyField path"],
  ["a list's timestamp without a list", { ...STAMPED, timestamp: { listKey: "t" } }, "timestamp.listKey pair"],
  [
    "a timestamp that is the signature",
    { ...LISTED, content: "{ts}.{body}", timestamp: { listKey: "v1" } },
    "timestamp.listKey pair",
  ],
  ["{ts} without a timestamp", STAMPED, "timestamp required"],
  ["a header's timestamp that is not signed", { ...HMAC, timestamp: { header: "x-time" } }, "content timestamp"],
  ["a list's timestamp that is not signed", { ...LISTED, timestamp: { listKey: "t" } }, "content timestamp"],
  [
    "a body's timestamp that is not signed",
    { ...HMAC, content: "{json:id}", timestamp: { bodyField: "sent" } },
    "content timestamp",
  ],

  ["an unknown variable", { ...HMAC, content: "{bodi}" }, "content template"],
  ["an open brace", { ...HMAC, content: "{body" }, "content template"],
  ["nothing of the body", { ...HMAC, content: "{method}{url}" }, "content body"],
  ["a signature in the body that it covers", { scheme: "hmac", bodyField: "meta.sig" }, "content signature"],
  [
    "a field that is the signature",
    { scheme: "hmac", bodyField: "sig", content: "{json:id}{json:sig}" },
    "content signature",
  ],
  ["a header that is the signature", { ...HMAC, content: "{header:X-Sig}.{body}" }, "content signature"],
  ["a time that is the signature", { ...STAMPED, timestamp: { header: "X-SIG" } }, "content signature"],
  ["text alone", { ...HMAC, content: "body" }, "content body"],
  ["a header next to the body", { ...HMAC, content: "{header:x-id}{body}" }, "content template"],
  ["a header that is none", { ...HMAC, content: "{header:x id}.{body}" }, "content header"],
  ["a field that is none", { ...HMAC, content: "{json:a..b}" }, "content path"],
  ["too many pieces", { ...HMAC, content: "{body}.".repeat(21) }, "content template"],

  ["a lookup without a kind", { eventType: ["type"] }, "eventType[0] lookup"],
  ["a lookup of an unknown kind", { eventType: ["j:type", "x:type"] }, "eventType[1] lookup"],
  ["a lookup of nothing", { eventType: ["k:"] }, "eventType[0] lookup"],
  ["a lookup of a header that is none", { eventId: ["h:x id"] }, "eventId[0] header"],
  ["a lookup of no path", { eventId: ["j:"] }, "eventId[0] path"],
  ["a lookup that ends in +", { eventType: ["j:a+"] }, "eventType[0] lookup"],
  ["a lookup of five parts", { eventType: ["j:a+j:b+j:c+j:d+j:e"] }, "eventType[0] lookup"],
  ["a pattern of two stars", { eventType: ["k:*a*"] }, "eventType[0] lookup"],

  ["fields that X's handshake signs for anybody", { ...HMAC, content: "{json:a}.{json:b}" }, "content handshake", "x"],
  ["a form that it signs", { ...HMAC, content: "{sortedForm}" }, "content handshake", "x"],
  ["a time that it signs", { ...STAMPED, timestamp: { header: "x-time" } }, "content handshake", "x"],

  ["an id for repeats that is nowhere", { ...HMAC, repeats: "signed-id" }, "repeats id"],
  ["an id for id and body that is nowhere", { ...HMAC, repeats: "unsigned-id-and-body" }, "repeats id"],
  ["a signed id that is not", { ...HMAC, eventId: ["h:x-id"], repeats: "signed-id" }, "repeats id"],
  ["a restamped id that is not signed", { ...HMAC, eventId: ["h:x-id"], repeats: "restamped-id" }, "repeats id"],
  ["a signed id of nobody's", { scheme: "none", eventId: ["j:id"], repeats: "signed-id" }, "repeats id"],
  ["GitHub's id, which is not signed", { repeats: "signed-id" }, "repeats id", "github"],
];

test.each(cases)("%s", (_name, settings, refusal, source) => {
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  expect(refusalOf(given, source)).toBe(refusal);
});

describe("what is next to it is accepted", () => {
  test.each<[string, object, string?]>([
    ["HMAC of a header", HMAC],
    ["HMAC of a field", { scheme: "hmac", bodyField: "meta.signature", content: "{json:id}" }],
    ["HMAC of the body beside X's handshake", HMAC, "x"],
    ["HMAC of fields beside one that is signed", { ...HMAC, content: "{json:a}.{json:b}" }, "zoom"],
    ["a list with keys", LISTED],
    ["a list without", { ...HMAC, list: { separator: ";" } }],
    ["commas between key and value", { ...HMAC, list: { keySeparator: ",", key: "v1" } }],
    ["a signed timestamp", { ...STAMPED, timestamp: { header: "x-time" } }],
    ["a timestamp signed as a header", { ...HMAC, content: "{header:x-time}.{body}", timestamp: { header: "X-Time" } }],
    ["a timestamp in the body", { ...HMAC, timestamp: { bodyField: "sent", unit: "iso" } }],
    ["a timestamp in the list", { ...LISTED, content: "{ts}.{body}", timestamp: { listKey: "t" } }],
    ["a header at the end", { ...HMAC, content: "{body}.{header:x-id}" }],
    ["the 99th member", { scheme: "hmac", bodyField: "items.99.sig", content: "{json:id}" }],
    ["a signed header as id", { ...HMAC, content: "{header:x-id}.{body}", eventId: ["h:X-Id"], repeats: "signed-id" }],
    ["an unsigned one by body", { ...HMAC, eventId: ["h:x-id"], repeats: "unsigned-id" }],
    ["a tolerance of stripe's", { timestamp: { toleranceSeconds: 600 } }, "stripe"],
    ["a tolerance of one form of two", { timestamp: { toleranceSeconds: 600 } }],
    ["a pattern of one star", { eventType: ["k:!*_id+j:action"] }],
    ["a pinned form", { scheme: "hub-signature-256" }],
    ["a pinned form of an unknown source", { scheme: "hub-signature-256" }, "acme"],
  ])("%s", (_name, settings, source) => {
    expect(refusalOf(settings, source)).toBe("accepted");
  });
});
