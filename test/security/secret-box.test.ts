import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { createSecretBox, SecretBoxError, type SecretContext } from "../../src/security/secret-box.ts";

const KEY_1 = Buffer.alloc(32, 1);
const KEY_2 = Buffer.alloc(32, 2);
const KEY_3 = Buffer.alloc(32, 3);
const CONTEXT: SecretContext = { organizationId: "org-1", webhookId: "wh-1", purpose: "receive" };
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const box = createSecretBox({ master: KEY_1, old: [] });

/** The reason of the SecretBoxError that `act` throws. */
function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof SecretBoxError) return error.reason;
    throw error;
  }
  return "opened";
}

describe("seal and open", () => {
  test.each(["", "x", SECRET, "Zażółć 🚀", "x".repeat(16 * 1024)])("round trip", (text) => {
    const sealed = box.seal(text, CONTEXT);
    expect(box.open(sealed, CONTEXT)).toBe(text);
    expect(sealed).toHaveLength(1 + 8 + 12 + Buffer.byteLength(text) + 16);
    expect(sealed[0]).toBe(1);
  });

  test("no two sealings are alike, and none contains the text", () => {
    const sealed = Array.from({ length: 50 }, () => box.seal(SECRET, CONTEXT).toString("latin1"));
    expect(new Set(sealed.map((bytes) => bytes.slice(9, 21))).size).toBe(50);
    for (const bytes of sealed) expect(bytes).not.toContain(SECRET.slice(0, 12));
  });

  test.each<[string, Partial<SecretContext>]>([
    ["another organization", { organizationId: "org-2" }],
    ["another webhook", { webhookId: "wh-2" }],
    ["another purpose", { purpose: "forward" }],
    ["text moved between the ids", { organizationId: "org-1wh", webhookId: "-1" }],
    ["quotes moved between the ids", { organizationId: 'org-1","wh-1', webhookId: "" }],
  ])("%s does not open it", (_, change) => {
    const sealed = box.seal(SECRET, CONTEXT);
    expect(refusal(() => box.open(sealed, { ...CONTEXT, ...change }))).toBe("refused");
  });

  test("every changed byte is noticed", () => {
    const sealed = box.seal(SECRET, CONTEXT);
    const reasons = Array.from(sealed, (_, at) => {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      return refusal(() => box.open(changed, CONTEXT));
    });
    expect(reasons).toEqual([
      "malformed",
      ...Array(8).fill("unknown_key"),
      ...Array(sealed.length - 9).fill("refused"),
    ]);
  });

  test("a cut or grown one is noticed", () => {
    const sealed = box.seal(SECRET, CONTEXT);
    for (let length = 0; length < sealed.length; length += 1) {
      expect(refusal(() => box.open(sealed.subarray(0, length), CONTEXT))).toBe(length < 37 ? "malformed" : "refused");
    }
    expect(refusal(() => box.open(Buffer.concat([sealed, Buffer.of(0)]), CONTEXT))).toBe("refused");
    expect(refusal(() => box.open(Buffer.alloc(20 * 1024, 1), CONTEXT))).toBe("malformed");
  });

  test("what cannot be sealed", () => {
    expect(() => box.seal("x".repeat(16 * 1024 + 1), CONTEXT)).toThrow(RangeError);
    expect(() => box.seal("\ud800", CONTEXT)).toThrow(RangeError);
  });
});

describe("rotation of the master key", () => {
  const sealed = box.seal(SECRET, CONTEXT);
  const hash = box.hash(SECRET);
  const rotated = createSecretBox({ master: KEY_2, old: [KEY_3, KEY_1] });
  const later = createSecretBox({ master: KEY_3, old: [KEY_2] });

  test("an old key opens what it sealed; a key that is gone does not", () => {
    expect(rotated.open(sealed, CONTEXT)).toBe(SECRET);
    expect(refusal(() => later.open(sealed, CONTEXT))).toBe("unknown_key");
  });

  test("new sealings are under the new key only", () => {
    const anew = rotated.seal(SECRET, CONTEXT);
    expect(later.open(anew, CONTEXT)).toBe(SECRET);
    expect(refusal(() => box.open(anew, CONTEXT))).toBe("unknown_key");
    expect([rotated.isCurrent(anew), rotated.isCurrent(sealed), box.isCurrent(sealed)]).toEqual([true, false, true]);
  });

  test("a stored hash still holds under old keys, and under no others", () => {
    expect(rotated.hashMatches(SECRET, hash)).toBe(true);
    expect(rotated.hash(SECRET)).not.toEqual(hash);
    expect(later.hashMatches(SECRET, hash)).toBe(false);
  });

  test("an old key that is the current one, too, does no harm", () => {
    const twice = createSecretBox({ master: KEY_1, old: [KEY_1] });
    expect(twice.open(sealed, CONTEXT)).toBe(SECRET);
    expect(twice.hashMatches(SECRET, hash)).toBe(true);
  });
});

describe("hash", () => {
  test("32 bytes, the same each time, another for another text", () => {
    expect(box.hash(SECRET)).toHaveLength(32);
    expect(box.hash(SECRET)).toEqual(box.hash(SECRET));
    expect(box.hash(`${SECRET} `)).not.toEqual(box.hash(SECRET));
  });

  test("only the very hash matches", () => {
    const hash = box.hash(SECRET);
    expect(box.hashMatches(SECRET, hash)).toBe(true);
    expect(box.hashMatches("another", hash)).toBe(false);
    expect(box.hashMatches(SECRET, Buffer.alloc(0))).toBe(false);
    expect(box.hashMatches(SECRET, hash.subarray(0, 31))).toBe(false);
    expect(box.hashMatches(SECRET, Buffer.concat([hash, Buffer.of(0)]))).toBe(false);
  });
});

test("master keys have 32 bytes and are bounded in number", () => {
  for (const bytes of [0, 16, 31, 33]) {
    expect(() => createSecretBox({ master: Buffer.alloc(bytes), old: [] })).toThrow(RangeError);
    expect(() => createSecretBox({ master: KEY_1, old: [Buffer.alloc(bytes)] })).toThrow(RangeError);
  }
  expect(() => createSecretBox({ master: KEY_1, old: Array.from({ length: 17 }, () => randomBytes(32)) })).toThrow(
    RangeError,
  );
});

test("neither the box nor its errors show a key or a secret", () => {
  const master = randomBytes(32);
  const shy = createSecretBox({ master, old: [] });
  const sealed = shy.seal(SECRET, CONTEXT);
  let shown = inspect(shy, { depth: 9, showHidden: true });
  try {
    shy.open(sealed, { ...CONTEXT, webhookId: "wh-2" });
  } catch (error) {
    shown += inspect(error, { depth: 9 });
  }
  expect(shown).toContain("SecretBoxError");
  for (const hidden of [SECRET, master.toString("hex").slice(0, 16), sealed.toString("hex").slice(40)]) {
    expect(shown).not.toContain(hidden);
  }
  expect(sealed.includes(master.subarray(0, 8))).toBe(false);
});
