/** JWTs: only the pinned algorithm, only the exact form, and an answer for everything. */
import { createHmac, createPublicKey, createSecretKey, generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { isSignedBy, JWT_CHARS_MAX, type JwtAlgorithm, readJwt, secondsOf } from "../../src/signature/jwt.ts";

const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const secret = createSecretKey(Buffer.from("a secret of some length, as usual"));

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const signed = (header: object, claims: object = { iss: "me" }) => `${part(header)}.${part(claims)}`;

function token(algorithm: JwtAlgorithm, header: object = { alg: algorithm }): string {
  const content = signed(header);
  const signature = {
    HS256: () => createHmac("sha256", secret).update(content).digest(),
    ES256: () => sign("sha256", Buffer.from(content), { key: ec.privateKey, dsaEncoding: "ieee-p1363" }),
    RS256: () => sign("sha256", Buffer.from(content), rsa.privateKey),
  }[algorithm]();
  return `${content}.${signature.toString("base64url")}`;
}

const KEYS = { HS256: secret, ES256: ec.publicKey, RS256: rsa.publicKey } as const;
const algorithms = Object.keys(KEYS) as JwtAlgorithm[];

function holds(text: string, algorithm: JwtAlgorithm, key = KEYS[algorithm]): boolean {
  const jwt = readJwt(text);
  return jwt !== undefined && isSignedBy(jwt, algorithm, key);
}

describe.each(algorithms)("%s", (algorithm) => {
  test("is read and verified", () => {
    expect(readJwt(token(algorithm))).toMatchObject({ header: { alg: algorithm }, claims: { iss: "me" } });
    expect(holds(token(algorithm), algorithm)).toBe(true);
  });

  test("is not taken for another algorithm, nor without one, nor with an extension that must be understood", () => {
    for (const other of algorithms) {
      if (other !== algorithm) expect(holds(token(algorithm), other)).toBe(false);
      expect(holds(token(algorithm, { alg: other === algorithm ? "none" : other }), algorithm)).toBe(false);
    }
    expect(holds(token(algorithm, {}), algorithm)).toBe(false);
    expect(holds(token(algorithm, { alg: algorithm.toLowerCase() }), algorithm)).toBe(false);
    expect(holds(token(algorithm, { alg: algorithm, crit: ["exp"] }), algorithm)).toBe(false);
  });

  test("a signature of any other length or content is refused", () => {
    const [head, claims, signature = ""] = token(algorithm).split(".");
    const bytes = Buffer.from(signature, "base64url");
    for (let length = 1; length <= 300; length++) {
      const other = Buffer.alloc(length, 1).toString("base64url");
      expect(holds(`${head}.${claims}.${other}`, algorithm)).toBe(false);
    }
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
      expect(holds(`${head}.${claims}.${changed.toString("base64url")}`, algorithm)).toBe(false);
    }
  });
});

test("a public key is no secret of HMAC", () => {
  const content = signed({ alg: "HS256" });
  const pem = createPublicKey(rsa.privateKey).export({ format: "pem", type: "spki" });
  const forged = `${content}.${createHmac("sha256", pem).update(content).digest("base64url")}`;
  expect(holds(forged, "RS256")).toBe(false);
});

test.each<[what: string, text: string]>([
  ["nothing", ""],
  ["two parts", "e30.e30"],
  ["four parts", "e30.e30.AAAA.AAAA"],
  ["an empty signature", "e30.e30."],
  ["padding", "e30=.e30=.AAAA"],
  ["base64 of the other alphabet", `e30.e30.${"+/".repeat(8)}`],
  ["stray bits", "e31.e30.AAAB"],
  ["a header that is a list", `${part([])}.e30.AAAA`],
  ["a header that is null", `${part(null)}.e30.AAAA`],
  ["claims that are text", `e30.${part("x")}.AAAA`],
  ["no JSON", "AAAA.e30.AAAA"],
  ["blanks", " e30.e30.AAAA"],
  ["more than is looked at", `e30.e30.${"A".repeat(JWT_CHARS_MAX)}`],
])("%s is no JWT", (_what, text) => {
  expect(readJwt(text)).toBeUndefined();
});

test("times are numbers", () => {
  expect([1, 1.5, -1].map(secondsOf)).toEqual([1, 1.5, -1]);
  expect(["1", null, undefined, Number.NaN, Number.POSITIVE_INFINITY, {}].map(secondsOf)).toEqual(
    Array(6).fill(undefined),
  );
});
