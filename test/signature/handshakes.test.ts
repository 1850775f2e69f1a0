/** Which requests are a source's handshakes, what is sent back, and what never is. */
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  couldBeSignedForAnybody,
  findHandshake,
  HANDSHAKE_BODY_BYTES_MAX,
  mayBeHandshake,
  type PlainHandshake,
  replyTo,
} from "../../src/signature/handshakes.ts";
import type { InboundRequest } from "../../src/signature/request.ts";
import { findSource, SOURCES } from "../../src/signature/source.ts";
import { isRefusal } from "../../src/signature/verdict.ts";
import { inbound, judge } from "./inbound-request.ts";

const SECRET = "app-secret:verify-me";

interface Asked {
  readonly method?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

function requestOf({ method = "POST", query = "", headers = {}, body }: Asked): InboundRequest {
  const bytes = Buffer.from(body === undefined ? "" : JSON.stringify(body));
  return { header: (name) => headers[name], body: bytes, method, url: undefined, target: `/receive/x${query}` };
}

/** What is answered: `[body, content type]`, the check that refused it, or undefined where it is no handshake. */
function answerTo(sourceName: string, asked: Asked, secret = SECRET) {
  const source = findSource(sourceName);
  const request = requestOf(asked);
  const found = findHandshake(source, request, { signed: false }) ?? findHandshake(source, request, { signed: true });
  if (found === undefined) return undefined;
  const reply = replyTo(found as PlainHandshake, source, request, [secret]);
  if (isRefusal(reply)) return reply.check;
  return [reply.status, reply.body, reply.headers["content-type"]];
}

const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json";
const hmac = (token: string, encoding: "hex" | "base64", secret = SECRET) =>
  createHmac("sha256", secret).update(token).digest(encoding);
const meta = (token: string, challenge: string) =>
  `?hub.mode=subscribe&hub.verify_token=${token}&hub.challenge=${challenge}`;
const zoom = (plainToken: unknown) => ({ body: { event: "endpoint.url_validation", payload: { plainToken } } });
const slack = (challenge: unknown) => ({ body: { type: "url_verification", challenge, token: "t" } });
const LONG = "a".repeat(600);

const cases: [name: string, source: string, asked: Asked, answer: unknown][] = [
  ["Slack", "slack", slack("3eZbrw1aB"), [200, "3eZbrw1aB", TEXT]],
  ["Slack: an event", "slack", { body: { type: "event_callback", challenge: "x" } }, undefined],
  ["Slack: too long", "slack", slack(LONG), "malformed_field"],
  ["Slack: a script", "slack", slack("<script>alert(1)</script>"), "malformed_field"],
  ["Slack: no text", "slack", slack({ a: 1 }), "malformed_field"],
  ["Slack: none", "slack", slack(undefined), "missing_field"],
  [
    "Zoom",
    "zoom",
    zoom("qgg8vlvZRS6UYooatFL8Aw"),
    [
      200,
      JSON.stringify({ plainToken: "qgg8vlvZRS6UYooatFL8Aw", encryptedToken: hmac("qgg8vlvZRS6UYooatFL8Aw", "hex") }),
      JSON_TYPE,
    ],
  ],
  ["Zoom: what it signs events by", "zoom", zoom("v0:1700000000:{}"), "malformed_field"],
  ["Zoom: a body", "zoom", zoom('{"event":"meeting.started"}'), "malformed_field"],
  [
    "X",
    "x",
    { method: "GET", query: "?crc_token=abc-123_~" },
    [200, JSON.stringify({ response_token: `sha256=${hmac("abc-123_~", "base64")}` }), JSON_TYPE],
  ],
  ["X: a forged event", "x", { method: "GET", query: "?crc_token=%7B%22a%22%3A1%7D" }, "malformed_field"],
  ["X: white space", "x", { method: "GET", query: "?crc_token=a+b" }, "malformed_field"],
  ["X: empty", "x", { method: "GET", query: "?crc_token=" }, "malformed_field"],
  ["X: too long", "x", { method: "GET", query: `?crc_token=${LONG}` }, "malformed_field"],
  ["X: twice", "x", { method: "GET", query: "?crc_token=a&crc_token=b" }, undefined],
  ["X: none", "x", { method: "GET" }, undefined],
  ["Meta", "meta", { method: "GET", query: meta("verify-me", "1158201444") }, [200, "1158201444", TEXT]],
  ["WhatsApp", "whatsapp", { method: "GET", query: meta("verify-me", "1158201444") }, [200, "1158201444", TEXT]],
  ["Meta: another token", "meta", { method: "GET", query: meta("verify-you", "1") }, "signature"],
  ["Meta: the app secret", "meta", { method: "GET", query: meta("app-secret", "1") }, "signature"],
  ["Meta: no token", "meta", { method: "GET", query: "?hub.mode=subscribe&hub.challenge=1" }, "signature"],
  ["Meta: a script", "meta", { method: "GET", query: meta("verify-me", "%3Cscript%3E") }, "malformed_field"],
  ["Meta: another mode", "meta", { method: "GET", query: "?hub.mode=unsubscribe&hub.challenge=1" }, undefined],
  [
    "Microsoft Graph",
    "microsoft-graph",
    { query: "?validationToken=Validation%3A+Testing+Request-Id%3A%201" },
    [200, "Validation: Testing Request-Id: 1", TEXT],
  ],
  ["Microsoft Graph: a line break", "microsoft-graph", { query: "?validationToken=a%0Ab" }, "malformed_field"],
  ["Microsoft Graph: too long", "microsoft-graph", { query: `?validationToken=${LONG}` }, "malformed_field"],
  [
    "Okta",
    "okta",
    { method: "GET", headers: { "x-okta-verification-challenge": "SzRG7d-6" } },
    [200, '{"verification":"SzRG7d-6"}', JSON_TYPE],
  ],
  [
    "Okta: a script",
    "okta",
    { method: "GET", headers: { "x-okta-verification-challenge": "</script>" } },
    "malformed_field",
  ],
  ["Dropbox", "dropbox", { method: "GET", query: "?challenge=abc123" }, [200, "abc123", TEXT]],
  ["Dropbox: a script", "dropbox", { method: "GET", query: "?challenge=%3Cb%3E" }, "malformed_field"],
  ["Dropbox: HEAD", "dropbox", { method: "HEAD", query: "?challenge=abc123" }, undefined],
  ["Trello", "trello", { method: "HEAD" }, [200, "", undefined]],
  ["Trello: GET", "trello", { method: "GET" }, undefined],
  ["Discord, events", "discord", { body: { type: 0 } }, [204, "", JSON_TYPE]],
  ["Discord, interactions", "discord", { body: { type: 1, token: "t" } }, [200, '{"type":1}', JSON_TYPE]],
  ["Discord: an event", "discord", { body: { type: 1, event: {} } }, undefined],
];

test.each(cases)("%s", (_name, source, asked, answer) => {
  expect(answerTo(source, asked)).toEqual(answer);
});

/** Answers that a vendor's own code gave, or openssl by the formula in the docs. */
interface AnsweredVector {
  readonly provider: string;
  readonly secret: string;
  readonly body?: string;
  readonly request?: { readonly query: Readonly<Record<string, string>> };
  readonly expectedResponse?: { readonly body?: string; readonly json?: unknown };
}

const { vectors } = JSON.parse(readFileSync(new URL("vectors/shared.json", import.meta.url), "utf8")) as {
  vectors: AnsweredVector[];
};

test.each([
  ["zoom-url-validation", "zoom"],
  ["x-crc", "x"],
])("the answer of the vector %s", (provider, source) => {
  const vector = vectors.find((candidate) => candidate.provider === provider);
  const { secret = "", body, request, expectedResponse } = vector ?? {};
  const asked = request
    ? { method: "GET", query: `?${new URLSearchParams(request.query)}` }
    : { body: JSON.parse(body ?? "") };
  const answer = answerTo(source, asked, secret) as [number, string];
  expect(JSON.parse(answer[1])).toEqual(expectedResponse?.json ?? JSON.parse(expectedResponse?.body ?? ""));
});

test("Meta without a verify token in the secret", () => {
  const asked = { method: "GET", query: meta("verify-me", "1") };
  expect(answerTo("meta", asked, "app-secret")).toBe("secret");
  const request = requestOf(asked);
  const found = findHandshake(findSource("meta"), request, { signed: false }) as PlainHandshake;
  expect(replyTo(found, findSource("meta"), request, ["app-secret"])).toMatchObject({
    reason: expect.stringMatching(/hub\.verify_token with: the secret must be <app secret>:<verify token>$/),
  });
});

describe("signed and unsigned", () => {
  test("a signed handshake is none where the signature is missing", () => {
    for (const [name, body] of [
      ["slack", slack("abc").body],
      ["zoom", zoom("abc").body],
      ["discord", { type: 0 }],
      ["aws-sns", { Type: "SubscriptionConfirmation", SubscribeURL: "https://sns.eu-west-1.amazonaws.com/" }],
    ] as const) {
      expect(findHandshake(findSource(name), requestOf({ body }), { signed: false }), name).toBeUndefined();
      expect(findHandshake(findSource(name), requestOf({ body }), { signed: true }), name).toBeDefined();
    }
  });

  test("a large body is no handshake that is not signed", () => {
    const notion = findSource("notion");
    const body = (chars: number) => ({ verification_token: "secret_x", padding: "p".repeat(chars) });
    expect(findHandshake(notion, requestOf({ body: body(10) }), { signed: false })).toBeDefined();
    const large = requestOf({ body: body(HANDSHAKE_BODY_BYTES_MAX) });
    expect(findHandshake(notion, large, { signed: false })).toBeUndefined();
  });

  const heads: [name: string, source: string, asked: Asked, bodyBytes: number | undefined, may: boolean][] = [
    ["Notion, whose body tells", "notion", {}, 100, true],
    ["Notion with a large body", "notion", {}, HANDSHAKE_BODY_BYTES_MAX + 1, false],
    ["Notion with a body of any length", "notion", {}, undefined, true],
    ["Asana with its header", "asana", { headers: { "x-hook-secret": "s" } }, 0, true],
    ["Asana without", "asana", {}, 0, false],
    ["Graph with its parameter", "microsoft-graph", { query: "?validationToken=x" }, 0, true],
    ["GitHub", "github", {}, 10, false],
    ["Slack, whose handshake is signed", "slack", {}, 10, false],
  ];

  test.each(heads)("from the head: %s", (_name, source, asked, bodyBytes, may) => {
    expect(mayBeHandshake(findSource(source), requestOf(asked), bodyBytes)).toBe(may);
  });
});

describe("nobody can have an event signed", () => {
  test("property: what X's handshake signs is a mere token, and that is no event", () => {
    const x = findSource("x");
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.json(), fc.base64String()), (token) => {
        const answer = answerTo("x", {
          method: "GET",
          query: `?crc_token=${encodeURIComponent(token.toWellFormed())}`,
        });
        if (!Array.isArray(answer)) return;
        expect(couldBeSignedForAnybody(x, Buffer.from(token))).toBe(true);
      }),
    );
  });

  test("an event of X's is none", () => {
    for (const body of ['{"for_user_id":"1","tweet_create_events":[]}', "{}", "", " a", `${"a".repeat(200)}`]) {
      expect(couldBeSignedForAnybody(findSource("x"), Buffer.from(body)), body).toBe(false);
    }
    expect(couldBeSignedForAnybody(findSource("github"), Buffer.from("abc"))).toBe(false);
    const judged = (body: string) => {
      const signature = createHmac("sha256", SECRET).update(body).digest("base64");
      return judge("x", SECRET, inbound({ "x-twitter-webhooks-signature": `sha256=${signature}` }, body));
    };
    expect(judged('{"for_user_id":"1"}')).toMatchObject({ valid: true });
    expect(judged("abc")).toMatchObject({ valid: false, reason: expect.stringContaining("mere token") });
  });

  test("every handshake that signs is either signed itself or bounded to what is no JSON", () => {
    for (const { name, handshakes } of SOURCES) {
      for (const handshake of handshakes) {
        if (handshake.kind !== "hmac-answer" || handshake.signed) continue;
        expect([name, handshake.chars, handshake.charsMax <= 256]).toEqual([name, "token", true]);
      }
    }
  });
});

test("property: nothing is sent back but what is short and harmless", () => {
  const sent = fc.oneof(
    fc.string({ unit: "binary", maxLength: 700 }),
    fc.constantFrom("abc", "<b>", "a\r\nb: c", LONG),
  );
  fc.assert(
    fc.property(sent, (value) => {
      const text = value.toWellFormed();
      const query = encodeURIComponent(text);
      for (const [name, asked] of [
        ["dropbox", { method: "GET", query: `?challenge=${query}` }],
        ["meta", { method: "GET", query: meta("verify-me", query) }],
        ["microsoft-graph", { query: `?validationToken=${query}` }],
        ["okta", { method: "GET", headers: { "x-okta-verification-challenge": text } }],
        ["slack", slack(text)],
      ] as const) {
        const answer = answerTo(name, asked);
        if (!Array.isArray(answer)) continue;
        expect(answer[1]).toMatch(/^[\x20-\x7e]{1,600}$/);
        if (answer[2] !== TEXT) expect(answer[2]).toBe(JSON_TYPE);
      }
    }),
  );
});
