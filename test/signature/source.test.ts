/** Names, keys and secrets. */
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { generateSecret, parseKey } from "../../src/signature/key.ts";
import {
  ACTIVE_SECRETS_MAX,
  findSource,
  formsOf,
  keyKind,
  prepareSecrets,
  SOURCE_NAMES,
  secretProblem,
} from "../../src/signature/source.ts";
import { WHSEC } from "./inbound-request.ts";

test("names match without regard to case and hyphens; unknown ones are custom", () => {
  const table: readonly [string, string][] = [
    ["stripe", "stripe"],
    ["Stripe", "stripe"],
    ["GITHUB", "github"],
    ["git-hub", "github"],
    ["github-enterprise", "github"],
    ["standardwebhooks", "standardwebhooks"],
    ["Standard-Webhooks", "standardwebhooks"],
    ["standard-webhook", "standardwebhooks"],
    ["custom", "custom"],
    ["acme", "custom"],
    ["", "custom"],
    ["stripe ", "custom"],
    ["__proto__", "custom"],
    ["constructor", "custom"],
  ];
  for (const [name, expected] of table) expect([name, findSource(name).name]).toEqual([name, expected]);
  expect(SOURCE_NAMES).toEqual(["custom", "standardwebhooks", "stripe", "github"]);
});

test("the same name gives the same object, and only custom can be pinned", () => {
  expect(findSource("Stripe")).toBe(findSource("stripe"));
  expect(findSource("stripe", "standardwebhooks")).toBe(findSource("stripe"));
  for (const form of formsOf(findSource("custom"))) {
    const pinned = findSource("acme", form);
    expect(pinned).toBe(findSource("custom", form));
    expect(pinned.schemes.map((scheme) => scheme.name)).toEqual([form]);
    expect(pinned.pinnedTo).toBe(form);
  }
  expect(findSource("custom").pinnedTo).toBeUndefined();
});

test("every source of today takes an HMAC key", () => {
  for (const name of SOURCE_NAMES) expect(keyKind(findSource(name))).toBe("hmac");
});

describe("secrets", () => {
  const STANDARD_FORM = "must be base64 of 24 to 64 bytes, with or without whsec_";
  const base64 = (bytes: number) => Buffer.alloc(bytes, 1).toString("base64");

  test.each<[string, string, string | null]>([
    ["github", "It's a Secret to Everybody", null],
    ["github", "", "must not be empty"],
    ["github", " padded", "must not begin or end with white space"],
    ["github", "line\n", "must not begin or end with white space"],
    ["github", "a\u0000b", "must not contain control characters or broken Unicode"],
    ["github", "a\ud800b", "must not contain control characters or broken Unicode"],
    ["github", "x".repeat(4_096), null],
    ["github", "x".repeat(4_097), "must be at most 4096 characters"],
    ["stripe", "whsec_not/base64!", null],
    ["standardwebhooks", WHSEC, null],
    ["standardwebhooks", WHSEC.slice(6), null],
    ["standardwebhooks", `whsec_${base64(23)}`, STANDARD_FORM],
    ["standardwebhooks", `whsec_${base64(64)}`, null],
    ["standardwebhooks", `whsec_${base64(65)}`, STANDARD_FORM],
    ["standardwebhooks", `whsec_${base64(32).replace("E=", "F=")}`, STANDARD_FORM],
    ["standardwebhooks", "whsec_", STANDARD_FORM],
    ["standardwebhooks", "plain text that is no base64 at all", STANDARD_FORM],
    ["custom", WHSEC, null],
    ["custom", "plain", null],
    ["custom", "", "must not be empty"],
  ])("%s %j", (source, text, problem) => {
    expect(secretProblem(findSource(source), text)).toBe(problem);
  });

  test("a pinned form asks for its own kind of text", () => {
    const standard = findSource("custom", "standardwebhooks");
    expect(secretProblem(standard, WHSEC)).toBeNull();
    expect(secretProblem(standard, WHSEC.slice(6))).toBe("must be whsec_ followed by base64 of 24 to 64 bytes");
    expect(secretProblem(findSource("custom", "hub-signature-256"), WHSEC.slice(6))).toBeNull();
  });

  test("generated secrets fit every source and never repeat", () => {
    const secrets = Array.from({ length: 100 }, generateSecret);
    expect(new Set(secrets).size).toBe(100);
    for (const secret of secrets) {
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(Buffer.from(secret.slice(6), "base64")).toHaveLength(32);
    }
    for (const name of SOURCE_NAMES) expect(secretProblem(findSource(name), secrets[0] ?? "")).toBeNull();
  });

  test("key bytes of each decoding", () => {
    const bytes = (rule: Parameters<typeof parseKey>[0], text: string) => {
      const parsed = parseKey(rule, text);
      return parsed.ok ? parsed.key.export().toString("hex") : parsed.problem;
    };
    expect(bytes({ decode: "utf8" }, "ż")).toBe("c5bc");
    expect(bytes({ decode: "utf8-nfkd" }, "ż")).toBe("7acc87");
    expect(bytes({ decode: "hex" }, "00fF")).toBe("00ff");
    expect(bytes({ decode: "hex" }, "00f")).toBe("must be hexadecimal digits of 1 to 4096 bytes");
    expect(bytes({ decode: "hex" }, "00zz")).toBe("must be hexadecimal digits of 1 to 4096 bytes");
    expect(bytes({ decode: "base64" }, "AP8=")).toBe("00ff");
    expect(bytes({ decode: "base64" }, "AP8")).toBe("00ff");
    expect(bytes({ decode: "base64" }, "AP_=")).toBe("must be base64 of 1 to 4096 bytes");
  });

  test("prepared secrets show no key to an inspector or to JSON", () => {
    const prepared = prepareSecrets(findSource("custom"), [WHSEC, "plain-secret-text"]);
    expect(prepared.judges).toHaveLength(2);
    const shown = inspect(prepared, { depth: 9, showHidden: true }) + JSON.stringify(prepared);
    for (const hidden of [WHSEC.slice(6), "plain-secret-text", Buffer.from("plain").toString("hex")]) {
      expect(shown).not.toContain(hidden);
    }
  });

  test("the number of active secrets is bounded", () => {
    const source = findSource("github");
    expect(prepareSecrets(source, Array(ACTIVE_SECRETS_MAX).fill("a")).count).toBe(ACTIVE_SECRETS_MAX);
    expect(() => prepareSecrets(source, Array(ACTIVE_SECRETS_MAX + 1).fill("a"))).toThrow(RangeError);
  });
});
