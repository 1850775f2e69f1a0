/** What stands after a patch of credentials: kept, replaced, ended, refused. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type CredentialPatch, resolvePatch } from "../../src/core/credential-changes.ts";
import type { AuthSettings, KeptCredentials } from "../../src/core/destination-credentials.ts";
import type { UrlCheck } from "../../src/core/webhook-settings.ts";
import { AppError } from "../../src/errors.ts";

const ORIGIN = "https://hooks.example.com";
const URL = `${ORIGIN}/in`;
const KEPT = "[redacted]";
const checkUrl: UrlCheck = (url) =>
  url.includes("private")
    ? { ok: false, rule: "url.private_address", message: "must have a public address" }
    : { ok: true };
const options = { nowMs: Date.UTC(2026, 0, 1), checkUrl };
const fixture = (name: string) =>
  readFileSync(new globalThis.URL(`../support/tls/${name}.pem`, import.meta.url), "utf8").trim();
const certificate = { certificate: fixture("client-cert"), key: fixture("client-key") };

const basic = (password: string): AuthSettings => ({ type: "basic", username: "u", password });
const oauth2 = (changes: object = {}): AuthSettings => ({
  ...{ type: "oauth2", tokenUrl: "https://issuer.example.com/token", clientId: "id", clientSecret: "hunter2" },
  ...{ scope: null, audience: null, clientAuthentication: "basic" },
  ...changes,
});
const standing = (auth: AuthSettings, origin = ORIGIN): KeptCredentials => ({ auth: { origin, settings: auth } });

/** The refusal as `field rule`, or what stands. */
function outcome(before: KeptCredentials, patch: CredentialPatch, url: string | null = URL): KeptCredentials | string {
  try {
    return resolvePatch(before, patch, { url }, options);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    expect(error.message).not.toMatch(/hunter2/);
    return error.violations.map(({ field, rule }) => `${field} ${rule}`).join();
  }
}

describe("what is taken", () => {
  test.each<[string, KeptCredentials, CredentialPatch, KeptCredentials]>([
    ["nothing of nothing", {}, {}, {}],
    ["what stands, untouched", standing(basic("p")), {}, standing(basic("p"))],
    [
      "another part beside it",
      standing(basic("p")),
      { headers: { "x-a": "1" } },
      { ...standing(basic("p")), headers: { origin: ORIGIN, settings: [["x-a", "1"]] } },
    ],
    ["a new secret", standing(basic("p")), { auth: basic("q") }, standing(basic("q"))],
    [
      "a secret that is kept",
      standing(basic("p")),
      { auth: { type: "basic", username: "v", password: KEPT } },
      standing({ type: "basic", username: "v", password: "p" }),
    ],
    [
      "another type",
      standing(basic("p")),
      { auth: { type: "bearer", token: "t" } },
      standing({ type: "bearer", token: "t" }),
    ],
    ["an end", standing(basic("p")), { auth: null }, {}],
    ["no headers", { headers: { origin: ORIGIN, settings: [["x-a", "1"]] } }, { headers: {} }, {}],
    [
      "an API key, its name in lower case",
      {},
      { auth: { type: "apiKey", name: "X-Api-Key", value: "k" } },
      standing({ type: "apiKey", name: "x-api-key", value: "k" }),
    ],
    [
      "OAuth2, blanks as nothing",
      {},
      { auth: oauth2({ scope: "", audience: "a" }) },
      standing(oauth2({ audience: "a" })),
    ],
    [
      "another path at the same issuer",
      standing(oauth2()),
      { auth: oauth2({ tokenUrl: "https://issuer.example.com/v2", clientSecret: KEPT }) },
      standing(oauth2({ tokenUrl: "https://issuer.example.com/v2" })),
    ],
    ["a certificate", {}, { certificate }, { certificate: { origin: ORIGIN, settings: certificate } }],
  ])("%s", (_what, before, patch, expected) => {
    expect(outcome(before, patch)).toEqual(expected);
  });
});

describe("what is refused", () => {
  test.each<[string, KeptCredentials, CredentialPatch, string]>([
    [
      "an empty name",
      {},
      { auth: { type: "basic", username: "", password: "p" } },
      "forwarding.auth.basic.username required",
    ],
    [
      "a colon in the name",
      {},
      { auth: { type: "basic", username: "a:b", password: "p" } },
      "forwarding.auth.basic.username basic",
    ],
    ["an empty password", {}, { auth: basic("") }, "forwarding.auth.basic.password required"],
    ["a control character", {}, { auth: basic("a\nb") }, "forwarding.auth.basic.password text"],
    ["a password that never was", {}, { auth: basic(KEPT) }, "forwarding.auth.basic.password redacted"],
    [
      "one of another type",
      standing({ type: "bearer", token: "t" }),
      { auth: basic(KEPT) },
      "forwarding.auth.basic.password redacted",
    ],
    [
      "a token that is no header",
      {},
      { auth: { type: "bearer", token: "ä" } },
      "forwarding.auth.bearer.token headers.value",
    ],
    [
      "a key in a header of ours",
      {},
      { auth: { type: "apiKey", name: "webhook-id", value: "k" } },
      "forwarding.auth.apiKey.name headers.name",
    ],
    [
      "a private token URL",
      {},
      { auth: oauth2({ tokenUrl: "https://private/" }) },
      "forwarding.auth.oauth2.tokenUrl url.private_address",
    ],
    ["no client id", {}, { auth: oauth2({ clientId: "" }) }, "forwarding.auth.oauth2.clientId required"],
    [
      "a kept secret for another issuer",
      standing(oauth2()),
      { auth: oauth2({ tokenUrl: "https://evil.example.com/", clientSecret: KEPT }) },
      "forwarding.auth.oauth2.clientSecret origin",
    ],
    [
      "a header that the authentication sends",
      standing(basic("p")),
      { headers: { Authorization: "x" } },
      'forwarding.headers["authorization"] contradiction',
    ],
    [
      "an API key in a header that is set",
      { headers: { origin: ORIGIN, settings: [["x-k", "1"]] } },
      { auth: { type: "apiKey", name: "X-K", value: "k" } },
      'forwarding.headers["x-k"] contradiction',
    ],
  ])("%s", (_what, before, patch, expected) => {
    expect(outcome(before, patch)).toBe(expected);
  });

  test("anything without a url", () => {
    expect(outcome({}, { auth: basic("p") }, null)).toBe("forwarding.auth url");
    expect(outcome({}, { headers: { "x-a": "1" } }, null)).toBe("forwarding.headers url");
    expect(outcome({}, { certificate }, null)).toBe("forwarding.clientCertificate url");
  });

  test("a certificate for an http url", () => {
    expect(outcome({}, { certificate }, "http://hooks.example.com/")).toBe("forwarding.clientCertificate https");
  });
});

describe("another url", () => {
  const before: KeptCredentials = {
    ...standing(basic("p")),
    headers: { origin: ORIGIN, settings: [["x-a", "1"]] },
  };

  test("of the same origin keeps everything", () => {
    expect(outcome(before, {}, `${ORIGIN}:443/elsewhere`)).toEqual(before);
  });

  test("none keeps everything for later, as it goes nowhere", () => {
    expect(outcome(before, {}, null)).toEqual(before);
  });

  test.each(["https://evil.example.com/in", "http://hooks.example.com/in", "https://hooks.example.com:8443/in"])(
    "%s is refused until every secret is sent again or ended",
    (url) => {
      const origin = new globalThis.URL(url).origin;
      expect(outcome(before, {}, url)).toBe("forwarding.headers origin");
      expect(outcome(before, { headers: null }, url)).toBe("forwarding.auth origin");
      expect(outcome(before, { headers: null, auth: basic(KEPT) }, url)).toBe("forwarding.auth origin");
      expect(outcome(before, { headers: { "x-a": KEPT }, auth: null }, url)).toBe("forwarding.headers origin");
      expect(outcome(before, { headers: null, auth: null }, url)).toEqual({});
      expect(outcome(before, { headers: null, auth: basic("q") }, url)).toEqual(standing(basic("q"), origin));
    },
  );
});
