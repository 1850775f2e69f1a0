/** Names, keys and secrets. */
import { generateKeyPairSync } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { generateSecret, parseKey, secretPart } from "../../src/signature/key.ts";
import { PRESETS } from "../../src/signature/presets.ts";
import {
  ACTIVE_SECRETS_MAX,
  findSource,
  formsOf,
  generateSecretFor,
  keyKind,
  needsPublicUrl,
  prepareSecrets,
  SOURCE_NAMES,
  SOURCES,
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
    ["WhatsApp", "meta"],
    ["twitter", "x"],
    ["lemon-squeezy", "lemonsqueezy"],
    ["AWS-SNS", "aws-sns"],
    ["custom", "custom"],
    ["acme", "custom"],
    ["", "custom"],
    ["stripe ", "custom"],
    ["__proto__", "custom"],
    ["constructor", "custom"],
  ];
  for (const [name, expected] of table) expect([name, findSource(name).name]).toEqual([name, expected]);
  expect(new Set(SOURCE_NAMES).size).toBe(SOURCE_NAMES.length);
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

test("the kinds of keys", () => {
  const table: readonly [string, string][] = [
    ["stripe", "hmac"],
    ["custom", "hmac"],
    ["contentful", "hmac"],
    ["discord", "public-key:ed25519"],
    ["telnyx", "public-key:ed25519"],
    ["sendgrid", "public-key:ecdsa-sha256"],
    ["telegram", "token"],
    ["microsoft-graph", "token"],
    ["postmark", "basic"],
    ["paypal", "paypal"],
    ["aws-sns", "aws-sns"],
  ];
  for (const [name, kind] of table) expect([name, keyKind(findSource(name))]).toEqual([name, kind]);
});

test("sources that need PUBLIC_URL", () => {
  const names = SOURCES.filter(needsPublicUrl).map(({ name }) => name);
  expect(names).toEqual(["square", "twilio", "trello", "hubspot"]);
});

test("what people are told of a source is whole", () => {
  for (const [name, preset] of Object.entries(PRESETS)) {
    expect(name).toMatch(/^[a-z0-9]+(?:-[a-z0-9]+)*$/);
    const { label, docUrl, secret, setup, notes = [] } = preset;
    if (name !== "custom") expect(docUrl).toMatch(/^https:\/\/\S+$/);
    expect([label, secret.form, secret.where].every((text) => text.trim() === text && text !== "")).toBe(true);
    expect(setup.join(" ")).toContain("{receiveUrl}");
    for (const sentence of [...setup, ...notes, secret.where]) expect(sentence).toMatch(/[.]$/);
    expect(
      secret.from === "known" || generateSecretFor(findSource(name)) !== undefined || secret.from === "provider",
    ).toBe(true);
  }
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

  test.each<[string, string, string | null]>([
    ["discord", "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c", null],
    ["discord", "ea4a", "must be an Ed25519 public key, 64 hexadecimal digits"],
    ["discord", WHSEC, "must be an Ed25519 public key, 64 hexadecimal digits"],
    ["telnyx", "ea4a", "must be an Ed25519 public key, base64 of 32 bytes"],
    ["sendgrid", "AAAA", "must be a public key (ec), SPKI in base64 or PEM"],
    ["adyen", "0g", "must be hexadecimal digits of 1 to 4096 bytes"],
    ["postmark", "user", "must be user:password"],
    ["postmark", "user:pass:word", null],
    ["meta", "app", null],
    ["meta", "app:token", null],
    ["meta", "app:", "must be <app secret>, or <app secret>:<verify token>, each key text of 1 to 4096 bytes"],
    ["box", "one:two", null],
    ["box", ":two", "must be <primary key>, or <primary key>:<secondary key>, each key text of 1 to 4096 bytes"],
    ["livekit", "key", "must be <API key>:<API secret>"],
    ["paypal", "1JE4291016473214C", null],
    ["paypal", "1JE-", "must be the webhook id, 8 to 64 letters and digits"],
    ["aws-sns", "arn:aws:sns:us-east-1:123456789012:a", null],
    [
      "aws-sns",
      "arn:aws:sqs:us-east-1:123456789012:a",
      "must be the topic's ARN, arn:aws:sns:<region>:<account>:<topic>",
    ],
    ["plaid", "sandbox:a:b", null],
    ["plaid", "a:b", "must be <environment>:<client id>:<secret>, the environment production or sandbox"],
    ["contentful", "short", "must be 64 characters"],
    ["openai", "whsec_AAAA", null],
    ["openai", "whsec_!", "must be whsec_ followed by base64 of 1 to 4096 bytes, or any other text"],
    ["openai", "text", null],
  ])("%s takes %j: %s", (source, text, problem) => {
    expect(secretProblem(findSource(source), text)).toBe(problem);
  });

  test("a PEM public key may come with its lines", () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = publicKey.export({ format: "pem", type: "spki" }).toString();
    expect(secretProblem(findSource("sendgrid"), pem)).toBeNull();
    expect(secretProblem(findSource("sendgrid"), `${pem}x`)).not.toBeNull();
  });

  test("the verify token is a part of the secret that keys nothing", () => {
    const [meta] = PRESETS.meta?.schemes ?? [];
    const rule = meta?.kind === "hmac" ? meta.key : undefined;
    expect(rule && secretPart(rule, "app:to:ken", "verify-token")).toBe("to:ken");
    expect(rule && secretPart(rule, "app", "verify-token")).toBeUndefined();
  });

  test("generated secrets fit every source that we can make one for", () => {
    const none = SOURCES.filter((source) => {
      const text = generateSecretFor(source);
      if (text === undefined) return true;
      expect([source.name, secretProblem(source, text)]).toEqual([source.name, null]);
      expect(generateSecretFor(source)).not.toBe(text);
      return false;
    });
    expect(none.map(({ name }) => name)).toEqual(
      "standardwebhooks-v1a paypal plaid aws-sns discord sendgrid telnyx livekit".split(" "),
    );
  });

  test("generated secrets never repeat", () => {
    const secrets = Array.from({ length: 100 }, generateSecret);
    expect(new Set(secrets).size).toBe(100);
    for (const secret of secrets) {
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(Buffer.from(secret.slice(6), "base64")).toHaveLength(32);
    }
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
