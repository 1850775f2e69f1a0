/** The catalogue of sources over REST: its JSON, its pages, and that nobody's data stands in it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PRESETS } from "../../src/signature/presets.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, notFound, refusal } from "./refusal.ts";

const NAMES = Object.keys(PRESETS).sort();

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

const get = (path: string) => service.api.get(path);

test("one source, with every field, the receive URL of this service, and null for what is not set", async () => {
  const { status, body } = await get("/sources/github");
  expect(status).toBe(200);
  const receiveUrl = `${service.url}/api/v1/webhooks/receive/{webhookId}`;
  const preset = PRESETS.github;
  expect(body).toEqual({
    name: "github",
    label: "GitHub",
    aliases: preset?.aliases,
    docUrl: preset?.docUrl,
    receiveUrl,
    setup: preset?.setup.map((step) => step.replaceAll("{receiveUrl}", receiveUrl)),
    secret: preset?.secret,
    forms: [
      {
        name: "github",
        kind: "hmac",
        headers: ["x-hub-signature-256"],
        content: "{body}",
        toleranceSeconds: null,
        futureToleranceSeconds: null,
        eventType: ["h:x-github-event+j:action"],
        eventId: ["h:x-github-delivery"],
        repeats: "unsigned-id",
      },
    ],
    bodyAuthenticated: true,
    publicUrlRequired: false,
    handshakes: [],
    success: { status: 200, body: null, contentType: null, forForms: false },
    ackSeconds: 10,
    notes: preset?.notes,
  });
  expect(body.setup.join()).toContain(receiveUrl);
});

test("bounds of time are shown where there are any", async () => {
  const { body } = await get("/sources/stripe");
  expect(body.forms).toMatchObject([{ content: "{ts}.{body}", toleranceSeconds: 300, futureToleranceSeconds: null }]);
});

test("what stands apart: a URL that is signed, an answer of its own, a body that is not covered", async () => {
  const [square, twilio, gitlab] = await Promise.all(
    ["square", "twilio", "gitlab"].map((name) => get(`/sources/${name}`)),
  );
  expect([square, twilio, gitlab].map((answer) => answer?.body.publicUrlRequired)).toEqual([true, true, false]);
  expect(twilio?.body.success).toEqual({ status: 200, body: "<Response/>", contentType: "text/xml", forForms: true });
  expect(twilio?.body.forms.map((form: { kind: string; content: string | null }) => [form.kind, form.content])).toEqual(
    [
      ["hmac", "{url}{sortedForm}"],
      ["code", null],
    ],
  );
  expect(gitlab?.body).toMatchObject({
    bodyAuthenticated: false,
    forms: [{ kind: "hmac" }, { kind: "token", headers: ["x-gitlab-token"] }],
  });
});

test("a handshake is told in words", async () => {
  const { body } = await get("/sources/slack");
  expect(body.handshakes).toEqual([
    {
      kind: "echo-json",
      method: "POST",
      signed: true,
      description:
        "A signed POST whose field `type` is `url_verification` is answered with its `challenge` as plain text.",
    },
  ]);
});

test.each([
  ["another case", "GitHub", "github"],
  ["hyphens", "standard-webhooks", "standardwebhooks"],
  ["a second name", "WhatsApp", "meta"],
  ["a second name with a full stop", "cal.com", "cal-com"],
  ["custom", "custom", "custom"],
])("found by %s", async (_how, text, name) => {
  expect((await get(`/sources/${text}`)).body.name).toBe(name);
});

test.each(["acme", "git%20hub", "__proto__", "constructor", "stripe%2F"])("NOT_FOUND: %s", async (text) => {
  expect(refusal(await get(`/sources/${text}`))).toEqual(notFound);
});

test("a name that is too long is refused", async () => {
  expect(refusal(await get(`/sources/${"a".repeat(101)}`))).toEqual(badRequest("name string.max_len"));
});

test.each([1, 3, 100])("the list in pages of %i: every source once, in the order of the names", async (limit) => {
  const found: string[] = [];
  let cursor = "";
  for (;;) {
    const { status, body } = await get(`/sources?limit=${limit}${cursor}`);
    expect([status, Object.keys(body)]).toEqual([200, ["items", "nextCursor", "hasMore"]]);
    expect(body.nextCursor === null).toBe(!body.hasMore);
    expect(body.items.length).toBe(body.hasMore ? limit : Math.min(limit, NAMES.length - found.length));
    found.push(...body.items.map((it: { name: string }) => it.name));
    if (!body.hasMore) break;
    cursor = `&cursor=${body.nextCursor}`;
  }
  expect(found).toEqual(NAMES);
});

test("without a limit the list is all of them; items are what GET of one answers", async () => {
  const { body } = await get("/sources");
  expect(body.items).toHaveLength(Math.min(NAMES.length, 100));
  for (const item of body.items) expect((await get(`/sources/${item.name}`)).body).toEqual(item);
});

describe("refused", () => {
  test.each([
    ["limit=0", "limit int32.gte_lte"],
    ["limit=101", "limit int32.gte_lte"],
    ["cursor=x", "cursor cursor"],
    [`cursor=${Buffer.from("Not A Name").toString("base64url")}`, "cursor cursor"],
    [`cursor=${Buffer.from("stripe").toString("base64url")}%3D`, "cursor cursor"],
    ["source=stripe", "source unknown"],
  ])("?%s", async (query, violation) => {
    expect(refusal(await get(`/sources?${query}`))).toEqual(badRequest(violation));
  });
});

test("every organization sees the same, and nothing of anybody's", async () => {
  const created = (await service.api.post("/webhooks", { name: "mine", source: "stripe" })).body;
  const other = await service.otherOrganization();
  const [mine, theirs] = [await get("/sources"), await other.get("/sources")];
  expect(theirs.body).toEqual(mine.body);
  for (const own of [created.id, created.secret]) expect(JSON.stringify(theirs.body)).not.toContain(own);
});
