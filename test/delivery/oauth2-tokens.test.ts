/** Tokens of a real authorization server: held, shared, fetched ahead of their end, refused, and not to be had. */
import { afterEach, describe, expect, test } from "vitest";
import type { OAuth2Settings } from "../../src/core/destination-credentials.ts";
import { type OAuth2Limits, OAuth2Tokens } from "../../src/delivery/oauth2-tokens.ts";
import { policyOf } from "../security/destination-policies.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startTokenServer, type TokenServer } from "../support/token-server.ts";
import { clientOf } from "./attempt-scene.ts";

const LIMITS: OAuth2Limits = { timeoutMs: 5_000, answerBytesMax: 1_024, destinationsMax: 3, restMs: 1_000 };
const never = new AbortController().signal;
const servers: TokenServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function scene(
  options: { expiresIn?: number; limits?: Partial<OAuth2Limits>; client?: ReturnType<typeof clientOf> } = {},
) {
  const { expiresIn = 100, limits, client = clientOf() } = options;
  const server = await startTokenServer({ clientId: "id", clientSecret: "s e:c/ret", expiresIn });
  servers.push(server);
  const clock = new ManualClock();
  const tokens = new OAuth2Tokens({ client, clock, limits: { ...LIMITS, ...limits } });
  const settings: OAuth2Settings = {
    ...{ type: "oauth2", tokenUrl: server.url, clientId: "id", clientSecret: "s e:c/ret" },
    ...{ scope: null, audience: null, clientAuthentication: "basic" },
  };
  /** The token, or the message. */
  const get = async (destinationId = "d", changes: Partial<OAuth2Settings> = {}) => {
    const result = await tokens.token(destinationId, { ...settings, ...changes }, never);
    return result.ok ? result.token : result.message;
  };
  return { server, clock, tokens, settings, get };
}

describe("a token", () => {
  test("is fetched once, and held until it is about to expire", async () => {
    const { server, clock, get } = await scene();
    expect(await get()).toBe(server.issued[0]);
    clock.advance(79_999);
    expect(await get()).toBe(server.issued[0]);
    expect(server.requests).toHaveLength(1);
  });

  test("is fetched ahead of its end while the one that stands is sent", async () => {
    const { server, clock, get } = await scene();
    const first = await get();
    clock.advance(80_000);
    const answered = Promise.withResolvers<void>();
    server.behave((response, issue) => {
      response.once("finish", answered.resolve);
      issue();
    });
    expect(await get()).toBe(first);
    await answered.promise;
    await expect.poll(() => get()).toBe(server.issued[1]);
    expect(server.requests).toHaveLength(2);
  });

  test("that has expired is not sent", async () => {
    const { server, clock, get } = await scene();
    await get();
    clock.advance(100_000);
    expect(await get()).toBe(server.issued[1]);
  });

  test("is asked for once, however many wait", async () => {
    const { server, get } = await scene();
    const tokens = await Promise.all(Array.from({ length: 50 }, () => get()));
    expect(new Set(tokens)).toEqual(new Set([server.issued[0]]));
    expect(server.requests).toHaveLength(1);
  });

  test("is each destination's own, and of its settings", async () => {
    const { server, get } = await scene();
    const tokens = [
      await get("d"),
      await get("e"),
      await get("d", { scope: "more" }),
      await get("d", { scope: "more" }),
    ];
    expect(tokens).toEqual([server.issued[0], server.issued[1], server.issued[2], server.issued[2]]);
    expect(server.requests.map(({ form }) => form.get("scope"))).toEqual([null, null, "more"]);
  });

  test("may be asked for with the client in the body", async () => {
    const { server, get } = await scene();
    expect(await get("d", { clientAuthentication: "body" })).toBe(server.issued[0]);
    expect(server.requests[0]?.headers.authorization).toBeUndefined();
  });

  test("that the destination refuses is replaced, once for all who were refused", async () => {
    const { server, clock, tokens, get } = await scene();
    const first = await get();
    clock.advance(LIMITS.restMs);
    tokens.refuse("d", first);
    const second = await get();
    tokens.refuse("d", first);
    expect([second, await get()]).toEqual([server.issued[1], server.issued[1]]);
  });

  test("that is refused as soon as it was issued is not replaced, so that the endpoint is not asked without end", async () => {
    const { server, clock, tokens, get } = await scene();
    const first = await get();
    clock.advance(LIMITS.restMs - 1);
    tokens.refuse("d", first);
    expect(await get()).toBe(first);
    clock.advance(1);
    tokens.refuse("d", first);
    expect(await get()).toBe(server.issued[1]);
  });

  test("of the destination used longest ago goes first", async () => {
    const { server, get } = await scene();
    for (const id of ["a", "b", "c", "a", "d"]) await get(id);
    expect(server.requests).toHaveLength(4);
    await get("a");
    expect(server.requests).toHaveLength(4);
    await get("b");
    expect(server.requests).toHaveLength(5);
  });
});

describe("no token", () => {
  test("everybody gets the reason, and the endpoint is left alone for a moment", async () => {
    const { server, clock, get } = await scene();
    const refused = "The token endpoint answered with status 401 (invalid_client).";
    const wrong = { clientSecret: "wrong" };
    expect(await Promise.all([get("d", wrong), get("d", wrong)])).toEqual([refused, refused]);
    expect(await get("d", wrong)).toBe(refused);
    expect(server.requests).toHaveLength(1);
    clock.advance(LIMITS.restMs);
    expect(await get("d", wrong)).toBe(refused);
    expect(server.requests).toHaveLength(2);
    expect(await get("d")).toBe(server.issued[0]);
  });

  test("a failure ahead of the end does no harm until the token has expired", async () => {
    const { server, clock, get } = await scene();
    const first = await get();
    server.behave((response) => response.writeHead(503).end());
    clock.advance(90_000);
    expect([await get(), await get()]).toEqual([first, first]);
    await expect.poll(() => server.requests.length).toBe(2);
    clock.advance(10_000);
    expect(await get()).toBe("The token endpoint answered with status 503.");
  });

  test.each<[string, Parameters<TokenServer["behave"]>[0], string]>([
    [
      "an answer that is too long",
      (response) => response.end("x".repeat(1_025)),
      "The token endpoint's answer is longer than 1024 bytes.",
    ],
    [
      "an answer that breaks off",
      (response) => response.writeHead(200, { "content-length": "9" }).write("half", () => response.destroy()),
      "The token endpoint closed the connection before the response was complete.",
    ],
    [
      "a redirect, which is not followed",
      (response) => response.writeHead(302, { location: "http://127.0.0.1:9/" }).end(),
      "The token endpoint answered with status 302.",
    ],
    ["silence", () => {}, "The exchange was not complete within 200 ms."],
  ])("%s", async (_what, behaviour, message) => {
    const { server, get } = await scene({ limits: { timeoutMs: message.includes("200 ms") ? 200 : 5_000 } });
    server.behave(behaviour);
    expect(await get()).toBe(message);
  });

  test("a token endpoint that deliveries may not reach is not asked", async () => {
    const { server, get } = await scene({ client: clientOf({ policy: policyOf() }) });
    expect(await get()).toBe("The token endpoint's URL must have a public address.");
    expect(server.requests).toEqual([]);
  });

  test("who gives up does not wait, and the fetch goes on for the others", async () => {
    const { server, tokens, settings, get } = await scene();
    const asked = Promise.withResolvers<() => void>();
    server.behave((_response, issue) => asked.resolve(issue));
    const controller = new AbortController();
    const given = tokens.token("d", settings, controller.signal);
    const waiting = get();
    const issue = await asked.promise;
    controller.abort(new Error("given up"));
    await expect(given).rejects.toThrow("given up");
    issue();
    expect(await waiting).toBe(server.issued[0]);
  });
});
