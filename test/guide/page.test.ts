/** The page of guides: one for every preset, with links that lead somewhere and commands that work as they stand. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toMarkdown } from "../../src/guide/markdown.ts";
import { providersPage } from "../../src/guide/page.ts";
import { CATALOGUE } from "../../src/signature/catalogue.ts";
import { PRESETS } from "../../src/signature/presets.ts";
import { readAnswer } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";

const markdown = toMarkdown(providersPage({ origin: "https://hooks.example.com", apiKey: "<API key>" }));

/** The guide of each source, by its name. */
const guides = new Map(
  markdown
    .split(/^### /m)
    .slice(1)
    .map((guide) => [/^Source `([^`]+)`/m.exec(guide)?.[1] ?? "", guide] as const),
);

test("every preset has a guide, a row of the table, and an address of its own", () => {
  expect([...guides.keys()].sort()).toEqual(Object.keys(PRESETS).sort());
  const rows = [...markdown.matchAll(/^\| \[.+?\]\(#([^)]+)\) \| `([^`]+)`/gm)];
  expect(rows.map((row) => row[2]).sort()).toEqual(Object.keys(PRESETS).sort());
  expect(new Set(rows.map((row) => row[1])).size).toBe(rows.length);
});

test("nothing is left open: no placeholder of ours, no undefined, no empty code", () => {
  expect(markdown).not.toMatch(/\{receiveUrl\}|undefined|\[object|(?<!`)``(?!`)/);
});

test("what only one of them has: the URL that Linear's webhooks share, and the window in which a secret is taken", () => {
  expect(guides.get("linear")).toContain("`POST /api/v1/webhooks/linear`");
  for (const name of ["notion", "asana"]) {
    const commands = [...(guides.get(name) ?? "").matchAll(/^ *curl -s \$API(\S+)/gm)].map(([, path]) => path);
    const window = ["/webhooks/$ID/capture", "/webhooks/$ID/capture", "/webhooks/$ID/capture/confirm"];
    expect(commands).toEqual(["/webhooks", ...window, "/webhooks/test"]);
  }
});

describe.each([...guides])("%s", (name, guide) => {
  const preset = PRESETS[name];

  test("says what is needed, done, verified and called, and what it is worth", () => {
    for (const part of ["**You need**", "1. ", "Try it", "**What is verified", "**What events are called"]) {
      expect(guide).toContain(part);
    }
    if (preset?.docUrl) expect(guide).toContain(`(${preset.docUrl})`);
    for (const alias of preset?.aliases ?? []) expect(guide).toContain(`\`${alias}\``);
    expect(guide.includes("body is not authenticated")).toBe(!preset?.bodyAuthenticated);
    expect(guide.includes("**Handshake.**")).toBe(preset?.handshakes !== undefined);
    for (const scheme of preset?.schemes ?? []) {
      if ("sig" in scheme) expect(guide).toContain(`\`${scheme.sig.name}\``);
    }
    expect(guide.match(/`receiveUrl`/g)?.length).toBeGreaterThanOrEqual(2);
  });
});

/** The JSON of each command of a guide, by the path that it goes to. */
function commandsOf(guide: string): [path: string, body: Record<string, string>][] {
  return [...guide.matchAll(/curl -s \$API(\S+) .* -d '(\{.*\})'$/gm)].map(([, path = "", body = ""]) => [
    path,
    JSON.parse(body.replace("\"'$ID'\"", '"$ID"')),
  ]);
}

describe("on the real service", () => {
  let service: TestService;

  beforeAll(async () => {
    service = await startService({ env: { PUBLIC_URL: "https://hooks.example.com" } });
  });
  afterAll(async () => {
    await service?.stop();
  });

  test.each([...guides])("%s: the commands create a webhook of that source and test it", async (name, guide) => {
    const [create, ...others] = commandsOf(guide);
    expect(create?.[0]).toBe("/webhooks");
    expect(create?.[1].source).toBe(name);
    const isCaptured = PRESETS[name]?.handshakes?.some(({ kind }) => kind === "capture-secret");
    const bringing = isCaptured ? ["capture", "capture/confirm"] : others.length > 1 ? ["rotate"] : [];
    expect(others.map(([path]) => path)).toEqual([...bringing.map((end) => `/webhooks/$ID/${end}`), "/webhooks/test"]);
    // A secret of the provider's is only a placeholder.
    const { secret: _, ...fields } = create?.[1] ?? {};
    const made = await service.api.post("/webhooks", fields);
    expect([made.status, made.body.source], JSON.stringify(made.body)).toEqual([201, name]);
    expect(made.body.receiveUrl).toContain("https://hooks.example.com/api/v1/webhooks/receive/");
    if (PRESETS[name]?.secret.from === "you") expect(made.body.secret).toMatch(/./);
    const tested = await service.api.post("/webhooks/test", { webhookId: made.body.id });
    const expected = guide.includes("can sign, so this event's scheme is `synthetic`")
      ? "synthetic"
      : expect.stringMatching(/./);
    if (made.body.secret !== undefined || expected === "synthetic") {
      expect([tested.status, tested.body.scheme], JSON.stringify(tested.body)).toEqual([200, expected]);
    }
  });

  const get = (headers: Record<string, string> = {}, method = "GET") =>
    fetch(`${service.url}/providers`, { method, headers: { "accept-encoding": "identity", ...headers } });

  test("/providers is a page for anybody, which may load and run nothing", async () => {
    const response = await get();
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    const html = await response.text();
    const policy = response.headers.get("content-security-policy") ?? "";
    const style = /<style>([^<]*)<\/style>/.exec(html)?.[1] ?? "";
    expect(policy).toContain(`style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`);
    expect(policy).toMatch(/^default-src 'none';.*base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(html).not.toMatch(/<(script|img|link|iframe|form|object|base)\b|\son\w+=|style=|javascript:/i);
    expect(html).toContain("API=https://hooks.example.com/api/v1");
    const ids = new Set([...html.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]));
    const links = [...html.matchAll(/href="([^"]+)"/g)].map((match) => match[1] ?? "");
    expect(links.filter((link) => !link.startsWith("https://") && !ids.has(link.slice(1)))).toEqual([]);
    for (const { preset } of CATALOGUE) expect(html).toContain(`>${preset.label.replace("&", "&amp;")}</a></h3>`);
    expect(html).not.toContain(service.key);
  });

  test("the page is the same whoever asks under whatever name", async () => {
    const page = await (await get()).text();
    const others = [
      { host: "evil.example" },
      { "x-forwarded-host": "evil.example" },
      { authorization: `Bearer ${service.key}` },
    ];
    for (const headers of others) expect(await (await get(headers)).text()).toBe(page);
  });

  test("compressed where it is asked for; HEAD without a body; nothing else", async () => {
    const page = await (await get()).text();
    const [response] = await once(
      request(`${service.url}/providers`, { headers: { "accept-encoding": "br, gzip" } }).end(),
      "response",
    );
    expect(response.headers).toMatchObject({ "content-encoding": "gzip", vary: "accept-encoding" });
    const zipped = Buffer.concat(await response.toArray());
    expect(gunzipSync(zipped).toString()).toBe(page);
    const head = await get({}, "HEAD");
    expect([head.status, Number(head.headers.get("content-length")), await head.text()]).toEqual([
      200,
      Buffer.byteLength(page),
      "",
    ]);
    const post = await readAnswer(await get({}, "POST"));
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    expect((await fetch(`${service.url}/providers/stripe`)).status).toBe(404);
  });
});
