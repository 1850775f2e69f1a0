/** @linear/sdk's own verifier and ours come to the same verdict. */
import { createHmac } from "node:crypto";
import { LinearWebhookClient } from "@linear/sdk/webhooks";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { inbound, judge, T } from "./inbound-request.ts";

const SECRET = "lin_wh_0123456789abcdefABCDEF";
const NOW_MS = T * 1000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW_MS });
});
afterEach(() => {
  vi.useRealTimers();
});

const sign = (body: string | Buffer, secret = SECRET) => createHmac("sha256", secret).update(body).digest("hex");
const stamped = (stamp: string) => `{"action":"update","type":"Issue","data":{"id":"1"},"webhookTimestamp":${stamp}}`;
const GOOD = stamped(String(NOW_MS));

const cases: [what: string, body: string, signature: string, expected: boolean][] = [
  ["now", GOOD, sign(GOOD), true],
  ...[0, 1, 59_999, 60_000, 60_001, 3_600_000].flatMap((ms): typeof cases =>
    [ms, -ms].map((offset) => {
      const body = stamped(String(NOW_MS + offset));
      return [`${offset} ms from now`, body, sign(body), ms <= 60_000];
    }),
  ),
  ...[
    ["text", `"${NOW_MS}"`, false],
    ["null", "null", false],
    ["true", "true", false],
    ["a list", `[${NOW_MS}]`, false],
    ["zero", "0", false],
    ["less than nothing", `-${NOW_MS}`, false],
    ["a fraction", `${NOW_MS}.5`, true],
    ["a fraction too late", `${NOW_MS - 60_000}.0`, true],
    ["a fraction too early", `${NOW_MS + 60_000}.5`, false],
    ["an exponent", "1.7e12", true],
    ["more than a number", "1e999", false],
    ["seconds", String(T), false],
  ].map(([what, stamp, expected]): (typeof cases)[number] => {
    const body = stamped(String(stamp));
    return [`a timestamp that is ${what}`, body, sign(body), expected === true];
  }),
  ...[
    ["no timestamp", '{"action":"update"}', false],
    ["a timestamp in data only", `{"data":{"webhookTimestamp":${NOW_MS}}}`, false],
    ["two timestamps, the last of which counts", `{"webhookTimestamp":1,"webhookTimestamp":${NOW_MS}}`, true],
    ["two timestamps, the last of which is old", `{"webhookTimestamp":${NOW_MS},"webhookTimestamp":1}`, false],
    ["a body that is no JSON", "webhookTimestamp", false],
    ["a body that is a number", String(NOW_MS), false],
    ["a body that is null", "null", false],
    ["an empty body", "", false],
    ["blanks around the body", ` ${GOOD}\n`, true],
    ["letters of other scripts", stamped(`${NOW_MS},"title":"Zażółć 🚀"`), true],
  ].map(([what, body, expected]): (typeof cases)[number] => [
    String(what),
    String(body),
    sign(String(body)),
    expected === true,
  ]),
  ["another secret", GOOD, sign(GOOD, "another"), false],
  ["another body", GOOD, sign(`${GOOD} `), false],
  ["upper-case digits", GOOD, sign(GOOD).toUpperCase(), false],
  ["no signature", GOOD, "", false],
  ["half a signature", GOOD, sign(GOOD).slice(0, 32), false],
  ["a signature and more", GOOD, `${sign(GOOD)}00`, false],
  ["a prefix", GOOD, `sha256=${sign(GOOD)}`, false],
  ["base64", GOOD, createHmac("sha256", SECRET).update(GOOD).digest("base64"), false],
];

test.each(cases)("%s", (_what, body, signature, expected) => {
  const theirs = () => new LinearWebhookClient(SECRET).verify(Buffer.from(body), signature);
  if (expected) expect(theirs()).toBe(true);
  else expect(theirs).toThrow();
  // A time in a header counts for neither.
  for (const stamp of [undefined, String(NOW_MS)]) {
    const request = inbound({ "linear-signature": signature, "linear-timestamp": stamp }, body);
    expect(judge("linear", SECRET, request, T).valid).toBe(expected);
  }
});
