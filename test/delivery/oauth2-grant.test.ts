/** The client credentials grant on the wire: what is asked, and what every kind of answer means. */
import { describe, expect, test } from "vitest";
import type { OAuth2Settings } from "../../src/core/destination-credentials.ts";
import { parseTokenAnswer, tokenRequest } from "../../src/delivery/oauth2-grant.ts";

const settings: OAuth2Settings = {
  ...{ type: "oauth2", tokenUrl: "https://issuer.example.com/token", clientId: "a b", clientSecret: "p:ä+/%" },
  ...{ scope: null, audience: null, clientAuthentication: "basic" },
};

describe("the request", () => {
  test("has the client in its header, each part encoded as in a form", () => {
    const { headers, body } = tokenRequest(settings);
    expect(body.toString()).toBe("grant_type=client_credentials");
    expect(headers).toEqual([
      ["content-type", "application/x-www-form-urlencoded"],
      ["accept", "application/json"],
      ["authorization", `Basic ${Buffer.from("a+b:p%3A%C3%A4%2B%2F%25").toString("base64")}`],
    ]);
  });

  test("or in its body, with scope and audience", () => {
    const { headers, body } = tokenRequest({
      ...settings,
      ...{ scope: "hooks:write hooks:read", audience: "https://api", clientAuthentication: "body" },
    });
    expect(Object.fromEntries(new URLSearchParams(body.toString()))).toEqual({
      grant_type: "client_credentials",
      scope: "hooks:write hooks:read",
      audience: "https://api",
      client_id: "a b",
      client_secret: "p:ä+/%",
    });
    expect(headers.map(([name]) => name)).toEqual(["content-type", "accept"]);
  });
});

describe("the answer", () => {
  const HOUR_MS = 3_600_000;

  test.each<[string, object, number]>([
    ["a life in seconds", { expires_in: 90 }, 90_000],
    ["a life as text", { expires_in: "90" }, 90_000],
    ["no life", {}, HOUR_MS],
    ["a life that is none", { expires_in: "soon" }, HOUR_MS],
    ["a life of nothing", { expires_in: 0 }, HOUR_MS],
    ["a life of years", { expires_in: 1e9 }, 24 * HOUR_MS],
    ["a type in any case", { token_type: "bearer", expires_in: 1 }, 1_000],
  ])("a token with %s", (_what, fields, lifeMs) => {
    const body = Buffer.from(JSON.stringify({ access_token: "t-1", ...fields }));
    expect(parseTokenAnswer(200, body)).toEqual({ ok: true, token: "t-1", lifeMs });
  });

  test.each<[string, number, unknown, string]>([
    [
      "a refusal with its code",
      401,
      { error: "invalid_client", error_description: "hunter2" },
      "answered with status 401 (invalid_client)",
    ],
    ["a refusal without", 500, "oops", "answered with status 500"],
    ["a code that is no code", 400, { error: "secret hunter2 is wrong" }, "answered with status 400"],
    ["a redirect", 302, {}, "answered with status 302"],
    ["another success", 204, "", "answered with status 204"],
    ["no JSON", 200, "access_token=t", "did not answer with a JSON object"],
    ["JSON that is no object", 200, null, "did not answer with a JSON object"],
    ["another kind of token", 200, { access_token: "t", token_type: "mac" }, "issued a token that is no bearer token"],
    ["no token", 200, { token_type: "Bearer" }, "issued no token that can be sent"],
    ["a token of two lines", 200, { access_token: "a\r\nb: c" }, "issued no token that can be sent"],
    ["an empty token", 200, { access_token: "" }, "issued no token that can be sent"],
    ["an endless token", 200, { access_token: "t".repeat(16_385) }, "issued no token that can be sent"],
  ])("%s is none", (_what, statusCode, body, what) => {
    const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
    expect(parseTokenAnswer(statusCode, bytes)).toEqual({ ok: false, message: `The token endpoint ${what}.` });
  });
});
