/** Connect-Web in a real Chromium, on a page of another origin: what a dashboard can do, and what other pages cannot. */
import { createHash, randomBytes } from "node:crypto";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { CHROMIUM_ADVICE, findChromium } from "../support/chromium.ts";
import { startService, type TestService } from "../support/service.ts";
import { launch, open, type PageServer, run, servePage } from "./browser.ts";
import type { Target } from "./page.ts";

const executable = await findChromium();
/** A change is not accepted without these tests. */
const isSkipped = executable === undefined && process.env.CI === undefined;
if (isSkipped) process.stderr.write(`The tests in a browser are skipped: there is no Chromium; ${CHROMIUM_ADVICE}.\n`);
const UNKNOWN_ID = "01890000-0000-7000-8000-000000000000";

describe.skipIf(isSkipped)("Chromium", () => {
  let allowed: PageServer;
  let other: PageServer;
  let service: TestService;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    if (executable === undefined) throw new Error(`there is no Chromium: ${CHROMIUM_ADVICE}`);
    [allowed, other, browser] = await Promise.all([servePage(), servePage(), launch(executable)]);
    service = await startService({ env: { CORS_ORIGINS: allowed.origin } });
    page = await open(browser, allowed.origin);
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await service?.stop();
    for (const server of [allowed, other]) server?.close();
  });

  const target = (protocol: Target["protocol"]): Target => ({ url: service.url, key: service.key, protocol });

  describe.each(["Connect JSON", "Connect binary", "gRPC-Web"] as const)("%s", (protocol) => {
    test("unary calls", async () => {
      const { id, listed } = await run(page, "unary", target(protocol), `made over ${protocol}`);
      expect(listed).toEqual([`made over ${protocol}`]);
      expect((await service.api.get(`/webhooks/${id}`)).body.name).toBe(`made over ${protocol}`);
    });

    test("a server stream, of bytes", async () => {
      const webhook = (await service.api.post("/webhooks", { name: "w" })).body;
      const bytes = new Uint8Array(randomBytes(1_200_001));
      const headers = { ...hubSignature(webhook.secret, bytes), "content-type": "application/x-odd" };
      const { eventId } = (await send(webhook.receiveUrl, bytes, headers)).body;
      expect(await run(page, "stream", target(protocol), eventId)).toEqual({
        contentType: "application/x-odd",
        pieces: 3,
        size: bytes.length,
        digest: createHash("sha256").update(bytes).digest("hex"),
      });
    });

    test("a server stream without end, until the page gives it up", async () => {
      expect(await run(page, "watch", target(protocol))).toEqual({ isServing: true, end: "Canceled" });
    });

    test("a deadline", async () => {
      expect(await run(page, "deadline", target(protocol))).toBe("DeadlineExceeded");
    });

    test("a call that the page gives up", async () => {
      expect(await run(page, "aborted", target(protocol))).toBe("Canceled");
    });

    test("errors with their details", async () => {
      expect(await run(page, "invalid", target(protocol))).toMatchObject({
        code: "InvalidArgument",
        reason: "BAD_REQUEST",
        fields: ["name"],
      });
      expect(await run(page, "keyless", target(protocol))).toMatchObject({
        code: "Unauthenticated",
        reason: "UNAUTHORIZED",
      });
      expect(await run(page, "missing", target(protocol), UNKNOWN_ID)).toMatchObject({
        code: "NotFound",
        reason: "NOT_FOUND",
      });
    });
  });

  test("Connect with GET, where a method has no side effects", async () => {
    const calls: string[] = [];
    page.on("request", (request) => {
      if (request.method() !== "OPTIONS") calls.push(`${request.method()} ${new URL(request.url()).pathname}`);
    });
    const { listed } = await run(page, "unary", target("Connect GET"), "made over GET");
    expect(listed).toEqual(["made over GET"]);
    expect(calls).toEqual([
      "POST /alumia.webhooks.v1.WebhookService/CreateWebhook",
      "GET /alumia.webhooks.v1.WebhookService/ListWebhooks",
    ]);
    page.removeAllListeners("request");
  });

  test.each<[method: string, path: string, body: string | undefined, expected: object]>([
    ["POST", "/api/v1/webhooks", '{"name":"over REST"}', { status: 201, body: { name: "over REST" } }],
    ["PATCH", `/api/v1/webhooks/${UNKNOWN_ID}`, "{}", { status: 404, body: { error: { code: "NOT_FOUND" } } }],
    ["DELETE", "/api/v1/webhooks", undefined, { status: 405, allow: "GET, POST, HEAD, OPTIONS" }],
    ["GET", "/api/v1/nothing", undefined, { status: 404 }],
  ])("REST: %s %s", async (method, path, body, expected) => {
    const rest = body === undefined ? [] : [body];
    expect(await run(page, "rest", target("Connect JSON"), method, path, ...(rest as [string]))).toMatchObject(
      expected,
    );
  });

  describe("a page of another origin", () => {
    let foreign: Page;

    beforeAll(async () => {
      foreign = await open(browser, other.origin);
    });

    test.each(["Connect JSON", "Connect binary", "Connect GET", "gRPC-Web"] as const)(
      "is kept out by the browser: %s",
      async (protocol) => {
        const name = `foreign over ${protocol}`;
        await expect(run(foreign, "unary", target(protocol), name)).rejects.toThrow("Failed to fetch");
        const { items } = (await service.api.get("/webhooks?limit=100")).body;
        expect(items.map((it: { name: string }) => it.name)).not.toContain(name);
      },
    );

    test("is kept out of REST and of receiving, as is a page of an allowed origin of receiving", async () => {
      const refused = { refused: "Failed to fetch" };
      const here = target("Connect JSON");
      expect(await run(foreign, "rest", here, "GET", "/api/v1/webhooks")).toEqual(refused);
      const receive = `/api/v1/webhooks/receive/${UNKNOWN_ID}`;
      expect(await run(foreign, "rest", here, "POST", receive, "{}")).toEqual(refused);
      expect(await run(page, "rest", here, "POST", receive, "{}")).toEqual(refused);
    });
  });
});
