/** Search in payloads and headers: literal, whatever the case, over any bytes, and bounded in what it costs. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, refusal } from "./refusal.ts";

/** What is sent, by name, oldest first. */
const SENT: Readonly<Record<string, { body: Uint8Array<ArrayBuffer>; headers?: Record<string, string> }>> = {
  json: { body: bytes('{"type":"order.paid","customer":{"name":"Zoë Müller","note":"50% off_now"}}') },
  upper: { body: bytes('{"type":"order.paid","customer":{"name":"ZOË MÜLLER"}}') },
  form: { body: bytes("a=1&b=caf%C3%A9"), headers: { "content-type": "application/x-www-form-urlencoded" } },
  text: { body: bytes("line one\nLINE (two) [three] \\d+ ***:end"), headers: { "content-type": "text/plain" } },
  header: { body: bytes("{}"), headers: { "x-request-tag": 'Blue "Heron" 7' } },
  invalid: { body: Uint8Array.of(0xff, 0xfe, ...bytes("tail of bytes"), 0xc3) },
  zero: { body: Uint8Array.of(0, ...bytes("behind a zero byte")), headers: { "x-request-tag": "zero-tag" } },
  large: { body: bytes(`{"filler":"${"x".repeat(300_000)}","end":"needle at the end"}`) },
  han: { body: bytes('{"city":"東京都"}'), headers: { authorization: "Bearer swordfish" } },
};

let service: TestService;
let webhook: { id: string; receiveUrl: string; secret: string };
const names = new Map<string, string>();

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text));
}

beforeAll(async () => {
  service = await startService();
  webhook = (await service.api.post("/webhooks", { name: "w", events: ["order.*"] })).body;
  for (const [name, { body, headers }] of Object.entries(SENT)) {
    const answer = await send(webhook.receiveUrl, body, { ...hubSignature(webhook.secret, body), ...headers });
    names.set(answer.body.eventId, name);
  }
  const other = await service.otherOrganization();
  const theirs = (await other.post("/webhooks", { name: "theirs" })).body;
  const body = SENT.json?.body ?? bytes("");
  await send(theirs.receiveUrl, body, hubSignature(theirs.secret, body));
});
afterAll(async () => {
  await service?.stop();
});

async function found(search: string, more = "", api = service.api): Promise<string[]> {
  const { status, body } = await api.get(`/webhooks/events?search=${encodeURIComponent(search)}${more}`);
  expect([status, body.hasMore, body.searchTruncated]).toEqual([200, false, undefined]);
  return body.items.map((item: { id: string }) => names.get(item.id)).reverse();
}

test.each<[string, string[]]>([
  ["order.paid", ["json", "upper"]],
  ["ORDER.PAID", ["json", "upper"]],
  ["orderXpaid", []],
  ["Zoë Müller", ["json", "upper"]],
  ["zoË mÜLLER", ["json", "upper"]],
  ["Zoe Muller", []],
  ["50% OFF_NOW", ["json"]],
  ["50%off", []],
  ["offXnow", []],
  ["b=caf%C3%A9", ["form"]],
  ["one\nline (TWO) [t", ["text"]],
  ["\\d+", ["text"]],
  ["***:", ["text"]],
  ["12345", []],
  ["x-request-TAG: blue", ["header"]],
  ['blue "heron" 7', ["header"]],
  ["x-request-tag", ["header", "zero"]],
  ["tail of BYTES", ["invalid"]],
  ["behind a zero", []],
  ["zero-tag", ["zero"]],
  ["needle at THE end", ["large"]],
  ["東京都", ["han"]],
  ["application/json", Object.keys(SENT).filter((name) => !["form", "text"].includes(name))],
])("%j", async (search, expected) => {
  expect(await found(search)).toEqual(expected);
  const { body } = await service.api.get(`/webhooks/${webhook.id}/events?search=${encodeURIComponent(search)}`);
  expect(body.items.map((item: { id: string }) => names.get(item.id)).reverse()).toEqual(expected);
});

test("credentials are not kept, and so not found", async () => {
  expect(await found("swordfish")).toEqual([]);
  expect(await found("authorization: ")).toEqual(["han"]);
});

test("together with other filters", async () => {
  expect(await found("application/json", "&status=filtered&type=*")).not.toContain("json");
  expect(await found("Zoë", "&type=order.*&verified=true")).toEqual(["json", "upper"]);
  expect(await found("Zoë", "&status=filtered")).toEqual([]);
  expect(await found("Zoë", `&until=${new Date(Date.now() - 60_000).toISOString()}`)).toEqual([]);
});

test("bounds of bytes and of time are told, and the cursor goes on to the end", async () => {
  const bounds = { scanStepRowsMax: 3, scanStepBytesMax: 50, scanMsMax: 0 };
  const bounded = await startService({ replicaOf: service, limits: bounds });
  try {
    const shown: string[] = [];
    let truncated = 0;
    for (let cursor = ""; ; ) {
      const { body } = await bounded.api.get(`/webhooks/events?search=order.paid&limit=1&cursor=${cursor}`);
      shown.push(...body.items.map((item: { id: string }) => names.get(item.id)));
      if (body.searchTruncated) truncated += 1;
      if (!body.hasMore) break;
      cursor = body.nextCursor;
    }
    expect(shown).toEqual(["upper", "json"]);
    expect(truncated).toBeGreaterThan(2);
  } finally {
    await bounded.stop();
  }
});

test.each([
  ["ab", "search string.min_len"],
  ["", "search string.min_len"],
  ["x".repeat(201), "search string.max_len"],
  ["abc\0", "search text.nul"],
])("refuses %j", async (search, field) => {
  const answer = await service.api.get(`/webhooks/events?search=${encodeURIComponent(search)}`);
  expect(refusal(answer)).toEqual(badRequest(field));
});
