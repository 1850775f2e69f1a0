/** The engine on schemes that no preset of today uses: the vocabulary of the provider catalogue. */
import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type CompiledSource, compileSource } from "../../src/signature/compile.ts";
import type { HmacScheme } from "../../src/signature/scheme.ts";
import { SigningError, samplePayload, sign } from "../../src/signature/sign.ts";
import { prepareSecrets } from "../../src/signature/source.ts";
import { verify } from "../../src/signature/verify.ts";
import { type Headers, inbound, judge, T, verdictOf } from "./inbound-request.ts";

const SECRET = "a secret";
const BODY = '{"id":"evt_1","n":2.5,"flag":true,"none":null,"deep":{"list":["x","y"]}}';

function source(scheme: Partial<HmacScheme> & Pick<HmacScheme, "sig">): CompiledSource {
  return compileSource("x", { schemes: [{ kind: "hmac", name: "x", type: [], id: [], repeats: "none", ...scheme }] });
}

function mac(content: string, algorithm = "sha256", key: string | Buffer = SECRET) {
  return createHmac(algorithm, key).update(content).digest();
}

const AT = { method: "post", url: "https://example.com/in/box?a=1&b=%20" };

describe("templates", () => {
  test.each<[string, string, Headers]>([
    ["{body}", BODY, {}],
    ["{url}{body}", `${AT.url}${BODY}`, {}],
    ["{body}{url}", `${BODY}${AT.url}`, {}],
    ["{method}\n{path}\n{body}", `POST\n/in/box?a=1&b=%20\n${BODY}`, {}],
    ["{header:X-A}|{header:x-b}|{body}", `one|two|${BODY}`, { "x-a": "one", "x-b": "two" }],
    [
      "{json:id}:{json:n}:{json:flag}:{json:none}:{json:gone}:{json:deep.list.1}:{json:deep}",
      "evt_1:2.5:true:::y:",
      {},
    ],
    ["v0:{body}", `v0:${BODY}`, {}],
  ])("%j", (content, expected, headers) => {
    const compiled = source({ sig: { name: "X-Sig" }, content });
    const signature = mac(expected).toString("hex");
    expect(judge(compiled, SECRET, inbound({ ...headers, "x-sig": signature }, BODY, AT)).valid).toBe(true);
    const other = mac(`${expected}!`).toString("hex");
    expect(judge(compiled, SECRET, inbound({ ...headers, "x-sig": other }, BODY, AT)).valid).toBe(false);
  });

  test("a part that is not there or cannot be told apart is refused", () => {
    const outcome = (content: string, headers: Headers, at = {}) => {
      const verdict = judge(
        source({ sig: { name: "s" }, content }),
        SECRET,
        inbound({ ...headers, s: "0".repeat(64) }, BODY, at),
      );
      return verdict.valid ? "valid" : verdict.check;
    };
    expect(outcome("{url}", {})).toBe("missing_field");
    expect(outcome("{path}", {}, { url: "no url" })).toBe("malformed_field");
    expect(outcome("{header:a}|{body}", {})).toBe("missing_field");
    expect(outcome("{header:a}|{body}", { a: "x|y" })).toBe("malformed_field");
    expect(outcome("{header:a}|{body}", { a: "x.y" })).toBe("signature");
  });

  test.each(["{bodi}", "{header:}", "{json:}", "{body", "body}", "{ts}.{body}", "{text:a}:{text:b}"])(
    "%s does not compile",
    (content) => {
      expect(() => source({ sig: { name: "s" }, content })).toThrow(TypeError);
    },
  );
});

describe("algorithms and encodings", () => {
  const algorithms = ["sha1", "sha256", "sha512"] as const;
  const encodings = ["hex", "base64", "base64url"] as const;
  test.each(algorithms.flatMap((alg) => encodings.map((enc) => [alg, enc] as const)))("%s %s", (alg, enc) => {
    const compiled = source({ sig: { name: "s", prefix: "p=" }, alg, enc });
    const s = (name: string) => `p=${mac(BODY, name).toString(enc)}`;
    expect(judge(compiled, SECRET, inbound({ s: s(alg) }, BODY)).valid).toBe(true);
    for (const other of algorithms.filter((name) => name !== alg)) {
      expect(judge(compiled, SECRET, inbound({ s: s(other) }, BODY))).toMatchObject({ check: "malformed_signature" });
    }
  });

  test("upper-case digits where the scheme allows them", () => {
    const digits = mac(BODY).toString("hex").toUpperCase();
    const any = source({ sig: { name: "s" }, hexCase: "any" });
    expect(judge(any, SECRET, inbound({ s: digits }, BODY)).valid).toBe(true);
    expect(judge(source({ sig: { name: "s" } }), SECRET, inbound({ s: digits }, BODY)).valid).toBe(false);
  });

  test("keys are decoded as the scheme says", () => {
    const key = Buffer.from("00ff10", "hex");
    const s = mac(BODY, "sha256", key).toString("hex");
    for (const [decode, text] of [
      ["hex", "00ff10"],
      ["base64", key.toString("base64")],
    ] as const) {
      expect(judge(source({ sig: { name: "s" }, key: { decode } }), text, inbound({ s }, BODY)).valid).toBe(true);
      expect(judge(source({ sig: { name: "s" } }), text, inbound({ s }, BODY)).valid).toBe(false);
    }
  });
});

describe("places", () => {
  const good = mac(BODY).toString("hex");
  const bad = "0".repeat(64);

  test("any of several headers may hold the signature", () => {
    const compiled = source({ sig: { name: "one", extra: ["Two"] } });
    expect(judge(compiled, SECRET, inbound({ two: good }, BODY)).valid).toBe(true);
    expect(judge(compiled, SECRET, inbound({ one: bad, two: good }, BODY)).valid).toBe(true);
    expect(judge(compiled, SECRET, inbound({ three: good }, BODY))).toMatchObject({
      reason: "one or two is missing",
    });
  });

  test("lists with other separators", () => {
    const compiled = source({
      sig: { name: "s", item: ";", kv: "=", key: "h1" },
      content: "{ts}:{body}",
      ts: { from: "sig", name: "ts", unit: "s", tol: 5, future: null },
    });
    const h1 = mac(`${T}:${BODY}`).toString("hex");
    expect(judge(compiled, SECRET, inbound({ s: `ts=${T};h1=${h1}` }, BODY), T + 5).valid).toBe(true);
    expect(judge(compiled, SECRET, inbound({ s: `ts=${T};h1=${h1}` }, BODY), T + 6).valid).toBe(false);
    expect(judge(compiled, SECRET, inbound({ s: `ts=${T};h1=${bad}, ts=${T};h1=${h1}` }, BODY), T).valid).toBe(true);
  });

  test("a signature in the body", () => {
    const compiled = source({ sig: { from: "body", name: "sig.value" }, content: "{json:a}:{json:b}" });
    const body = (a: string) => JSON.stringify({ a, b: 1, sig: { value: mac("x:1").toString("hex") } });
    expect(judge(compiled, SECRET, inbound({}, body("x"))).valid).toBe(true);
    expect(judge(compiled, SECRET, inbound({}, body("y")))).toMatchObject({ check: "signature" });
    expect(judge(compiled, SECRET, inbound({}, "{}"))).toMatchObject({ check: "missing_signature" });
    expect(judge(compiled, SECRET, inbound({}, "no JSON"))).toMatchObject({ check: "missing_signature" });
    const asked = { type: "a", eventId: "b", nowMs: 0 };
    const signed = sign(compiled, SECRET, { ...asked, body: Buffer.from('{"a":"x","b":1}') });
    expect(signed?.body.toString()).toBe(body("x"));
    expect(() => sign(compiled, SECRET, { ...asked, body: Buffer.from("no JSON") })).toThrow(SigningError);
  });
});

describe("timestamps", () => {
  /** The outcome with the clock at `nowMs`. */
  function at(scheme: Partial<HmacScheme> & Pick<HmacScheme, "sig">, headers: Headers, body: string, nowMs: number) {
    const compiled = source(scheme);
    const verdict = verdictOf(verify(compiled, prepareSecrets(compiled, [SECRET]), inbound(headers, body), nowMs));
    return verdict.valid ? "valid" : verdict.reason;
  }

  test("seconds: whole seconds are compared", () => {
    const scheme: Parameters<typeof at>[0] = {
      sig: { name: "s" },
      content: "{ts}{body}",
      ts: { from: "header", name: "T", unit: "s", tol: 10, future: 10 },
    };
    const headers = { s: mac(`${T}${BODY}`).toString("hex"), t: String(T) };
    expect(at(scheme, headers, BODY, (T + 10) * 1000 + 999)).toBe("valid");
    expect(at(scheme, headers, BODY, (T + 11) * 1000)).toBe("timestamp 11 s old, tolerance 10 s");
    expect(at(scheme, headers, BODY, (T - 10) * 1000)).toBe("valid");
    expect(at(scheme, headers, BODY, (T - 10) * 1000 - 1)).toBe("timestamp 11 s ahead, tolerance 10 s");
  });

  test("milliseconds in the body: exact, and judged after the signature", () => {
    const scheme: Parameters<typeof at>[0] = {
      sig: { name: "s" },
      ts: { from: "body", name: "sent.at", unit: "ms", tol: 60, future: 60 },
    };
    const now = T * 1000;
    const outcome = (sent: unknown, nowMs: number, key = SECRET) => {
      const body = JSON.stringify({ sent: { at: sent } });
      return at(scheme, { s: mac(body, "sha256", key).toString("hex") }, body, nowMs);
    };
    expect(outcome(now, now + 60_000)).toBe("valid");
    expect(outcome(now, now + 60_001)).toBe("timestamp 60.001 s old, tolerance 60 s");
    expect(outcome(now, now - 60_000)).toBe("valid");
    expect(outcome(now, now - 60_001)).toBe("timestamp 60.001 s ahead, tolerance 60 s");
    expect(outcome(undefined, now)).toBe("timestamp missing: sent.at");
    expect(outcome(-now, now)).toMatch(/^timestamp malformed/);
    expect(outcome(now, now + 60_001, "another")).toMatch(/^no signature matches/);
  });

  test("RFC 3339 text", () => {
    const scheme: Parameters<typeof at>[0] = {
      sig: { name: "s" },
      enc: "base64",
      content: "{body}{ts}",
      ts: { from: "header", name: "t", unit: "iso", tol: 600, future: 0 },
    };
    const outcome = (t: string, nowMs: number) =>
      at(scheme, { s: mac(`${BODY}${t}`).toString("base64"), t }, BODY, nowMs);
    expect(outcome("2023-11-14T22:13:20Z", T * 1000 + 600_000)).toBe("valid");
    expect(outcome("2023-11-14T14:13:20.000-08:00", T * 1000)).toBe("valid");
    expect(outcome("2023-11-14T22:13:20Z", T * 1000 + 600_001)).toMatch(/old, tolerance 600 s$/);
    expect(outcome("2023-11-14T22:13:20Z", T * 1000 - 1)).toBe("timestamp 0.001 s ahead, tolerance 0 s");
    for (const malformed of ["2023-11-14", "2023-13-14T22:13:20Z", "Tue, 14 Nov 2023 22:13:20 GMT", String(T)]) {
      expect(outcome(malformed, T * 1000)).toBe("timestamp malformed: t must be an RFC 3339 time");
    }
  });

  test("no bound where the vendor sets none", () => {
    const scheme: Parameters<typeof at>[0] = {
      sig: { name: "s" },
      content: "{ts}.{body}",
      ts: { from: "header", name: "t", unit: "s", tol: null, future: null },
    };
    const headers = { s: mac(`1.${BODY}`).toString("hex"), t: "1" };
    expect(at(scheme, headers, BODY, T * 1000)).toBe("valid");
  });

  test("no digit moves between a timestamp and a body that nothing separates", () => {
    const scheme: Parameters<typeof at>[0] = {
      sig: { name: "s" },
      content: "{ts}{body}",
      ts: { from: "header", name: "t", unit: "s", tol: null, future: null },
    };
    const s = mac(`${T}${BODY}`).toString("hex");
    expect(at(scheme, { s, t: String(T) }, BODY, T * 1000)).toBe("valid");
    const moved = at(scheme, { s, t: String(T).slice(0, -1) }, `${String(T).slice(-1)}${BODY}`, T * 1000);
    expect(moved).toMatch(/^timestamp malformed/);
  });
});

describe("signing by the same data", () => {
  const schemes: readonly [string, Partial<HmacScheme> & Pick<HmacScheme, "sig">][] = [
    [
      "linear",
      {
        sig: { name: "l" },
        ts: { from: "body", name: "sentAt", unit: "ms", tol: 60, future: 60 },
        type: ["h:kind", "j:type"],
      },
    ],
    [
      "slack",
      {
        sig: { name: "l", prefix: "v0=" },
        content: "v0:{ts}:{body}",
        ts: { from: "header", name: "t", unit: "s", tol: 300, future: null },
        type: ["j:event.type"],
      },
    ],
    [
      "box",
      {
        sig: { name: "l" },
        enc: "base64",
        content: "{body}{ts}",
        ts: { from: "header", name: "t", unit: "iso", tol: 600, future: 0 },
      },
    ],
    [
      "hubspot",
      {
        sig: { name: "l" },
        enc: "base64",
        content: "{method}{url}{body}{ts}",
        ts: { from: "header", name: "t", unit: "ms", tol: 300, future: 300 },
      },
    ],
    [
      "paddle",
      {
        sig: { name: "l", item: ";", kv: "=", key: "h1" },
        content: "{ts}:{body}",
        ts: { from: "sig", name: "ts", unit: "s", tol: 5, future: null },
      },
    ],
  ];
  test.each(schemes)("%s", (_, scheme) => {
    const compiled = source(scheme);
    const asked = { type: "a.b", eventId: "e1", nowMs: T * 1000, ...AT };
    const body = Buffer.from(JSON.stringify(samplePayload(compiled, asked)));
    const headers = Object.fromEntries(sign(compiled, SECRET, { ...asked, body })?.headers ?? []);
    expect(judge(compiled, SECRET, inbound(headers, body, AT)).valid).toBe(true);
    expect(judge(compiled, "another", inbound(headers, body, AT)).valid).toBe(false);
  });

  test("sample payloads", () => {
    const asked = { type: "a.b", eventId: "e1", nowMs: T * 1000 };
    const payload = (type: string, id: string) =>
      samplePayload(source({ sig: { name: "s" }, type: [type], id: [id] }), asked);
    expect(payload("j:event.type", "j:event.id")).toEqual({ event: { type: "a.b", id: "e1" } });
    expect(payload("j:events.0.kind+j:events.0.action", "h:x-id")).toEqual({ events: [{ kind: "a", action: "b" }] });
    expect(payload("h:x-kind", "h:x-id")).toEqual({});
  });
});

test.each<[string, Partial<HmacScheme> & Pick<HmacScheme, "sig">]>([
  ["kv without key", { sig: { name: "s", kv: "=" } }],
  ["key without kv", { sig: { name: "s", key: "v1" } }],
  ["time in a list that is none", { sig: { name: "s" }, ts: { from: "sig", name: "t", unit: "s", tol: 1, future: 1 } }],
  ["lookup of no kind", { sig: { name: "s" }, type: ["type"] }],
])("a preset that makes no sense does not compile: %s", (_, scheme) => {
  expect(() => source(scheme)).toThrow(TypeError);
});

test("a source cannot be pinned to a form it does not have", () => {
  const preset = {
    schemes: [{ kind: "hmac", name: "x", sig: { name: "s" }, type: [], id: [], repeats: "none" }],
  } as const;
  expect(() => compileSource("x", preset, "y")).toThrow(TypeError);
});
