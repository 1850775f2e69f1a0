/**
 * Comparisons of secrets and signatures take the same time wherever the two differ. The source says that node's own
 * comparison is used in one place; here every verdict is shown to rest on that place alone: with it saying no nothing
 * is valid, and with it saying yes any well-formed signature is, so that no other comparison can tell them apart first.
 */
import { readdirSync, readFileSync } from "node:fs";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { createSecretBox } from "../../src/security/secret-box.ts";
import { findHandshake, replyTo } from "../../src/signature/handshakes.ts";
import { findSource } from "../../src/signature/source.ts";
import { inbound } from "../signature/inbound-request.ts";
import { judgeVector, otherSecret, schemeOf, VECTORS } from "../signature/vectors.ts";

const { said, asked } = vi.hoisted(() => ({
  said: { same: undefined as boolean | undefined },
  asked: [] as [left: number, right: number][],
}));

vi.mock("../../src/security/constant-time.ts", async (original) => {
  const real = await original<typeof import("../../src/security/constant-time.ts")>();
  const sameBytes = (left: Buffer, right: Buffer) => {
    asked.push([left.length, right.length]);
    return said.same ?? real.sameBytes(left, right);
  };
  return { sameBytes, sameText: (left: string, right: string) => sameBytes(digest(left), digest(right)) };
});
const digest = (text: string) => Buffer.from(text.padEnd(32).slice(0, 32));

beforeEach(() => {
  said.same = undefined;
  asked.length = 0;
});

/** Kinds of keys with which verifying compares nothing that is secret. */
const ASYMMETRIC: ReadonlySet<string> = new Set(["public-key", "paypal", "plaid", "aws-sns"]);
const bySecret = VECTORS.filter((vector) => !ASYMMETRIC.has(schemeOf(vector).method.keyKind.split(":")[0] ?? ""));
const labelled = bySecret.map((vector, index) => [`${vector.provider} (${index})`, vector] as const);

describe.each(labelled)("%s", (_, vector) => {
  test("is compared, digests of one length", () => {
    expect(judgeVector(vector).valid).toBe(true);
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter(([left, right]) => left !== right)).toEqual([]);
  });

  test("is refused if the comparison says so", () => {
    said.same = false;
    expect(judgeVector(vector)).toMatchObject({ valid: false, check: "signature" });
  });

  test("is told from a forgery by nothing else", () => {
    const secret = otherSecret(vector) ?? "";
    expect(judgeVector(vector, { secret })).toMatchObject({ valid: false, check: "signature" });
    said.same = true;
    expect(judgeVector(vector, { secret }).valid).toBe(true);
  });
});

test.each([true, false])("so is the verify token of a handshake: %s", (same) => {
  const meta = findSource("meta");
  const target = "/?hub.mode=subscribe&hub.challenge=1&hub.verify_token=guess";
  const request = { ...inbound({}, "", { method: "GET" }), target };
  const handshake = findHandshake(meta, request, { signed: false });
  if (handshake?.kind !== "echo-query") throw new Error("no such handshake");
  said.same = same;
  expect("status" in replyTo(handshake, meta, request, ["app:token"])).toBe(same);
});

test.each([true, false])("and the hash of a stored secret: %s", (same) => {
  const box = createSecretBox({ master: Buffer.alloc(32, 1), old: [] });
  said.same = same;
  expect(box.hashMatches("one", box.hash(same ? "another" : "one"))).toBe(same);
});

describe("the comparison itself", () => {
  const actual = vi.importActual<typeof import("../../src/security/constant-time.ts")>(
    "../../src/security/constant-time.ts",
  );

  test.each([
    ["abc", "abc", true],
    ["abc", "abd", false],
    ["abc", "xbc", false],
    ["abc", "ab", false],
    ["", "", true],
    ["ß", "ß", true],
  ])("%j and %j: %s", async (left, right, same) => {
    const { sameBytes, sameText } = await actual;
    expect([sameBytes(Buffer.from(left), Buffer.from(right)), sameText(left, right)]).toEqual([same, same]);
  });

  test("is node's, in one place, and nothing else compares bytes where there are keys", () => {
    const src = new URL("../../src/", import.meta.url);
    const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
    const uses = (pattern: RegExp, under = "") =>
      files.filter((name) => name.startsWith(under) && pattern.test(readFileSync(new URL(name, src), "utf8")));
    expect(uses(/timingSafeEqual/)).toEqual(["security/constant-time.ts"]);
    // `equals` of a Buffer and of a KeyObject are not constant in time. A key's id is no secret.
    expect(uses(/\.(?:equals|compare|localeCompare)\(/, "signature/")).toEqual([]);
    expect(uses(/\.(?:equals|compare|localeCompare)\(/, "security/")).toEqual(["security/secret-box.ts"]);
  });
});
