/** The asymmetric signature of Standard Webhooks, against the vectors of RFC 8032 and Node's own verification. */
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { describe, expect, test } from "vitest";
import { generateSigningKey, prepareSigningKey, publicKeyText } from "../../src/signature/ed25519.ts";
import { generateSecret } from "../../src/signature/key.ts";
import { prepareForwardSecrets, signPrepared } from "../../src/signature/outbound.ts";

/** RFC 8032 §7.1, TEST 1. */
const SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const secretText = `whsk_${Buffer.from(SEED + PUBLIC_KEY, "hex").toString("base64")}`;
const T = 1_700_000_000;

/** The public key as a consumer makes it of its text. */
function consumerKey(text: string): KeyObject {
  const x = Buffer.from(text.replace("whpk_", ""), "base64").toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

describe("keys", () => {
  test("the public key of a known seed", () => {
    expect(publicKeyText(prepareSigningKey(secretText))).toBe(
      `whpk_${Buffer.from(PUBLIC_KEY, "hex").toString("base64")}`,
    );
  });

  test("new ones differ, and are whole", () => {
    const [one, other] = [generateSigningKey(), generateSigningKey()];
    expect(one).not.toBe(other);
    const bytes = Buffer.from(one.replace("whsk_", ""), "base64");
    expect(bytes).toHaveLength(64);
    expect(publicKeyText(prepareSigningKey(one))).toBe(`whpk_${bytes.subarray(32).toString("base64")}`);
  });

  test.each(["", "whsk_", secretText.replace("whsk_", "whsec_"), `${secretText}AAAA`, secretText.slice(0, -8)])(
    "%j is none, and is not quoted",
    (text) => {
      const message = "the signing key must be whsk_ and base64 of 64 bytes";
      expect(() => prepareSigningKey(text)).toThrow(new RangeError(message));
    },
  );
});

describe("signatures", () => {
  const body = Buffer.from([0, 255, 10, 128]);
  const key = prepareSigningKey(secretText);

  test("a signature covers id, timestamp and the exact bytes", () => {
    const signature = signPrepared([key], "msg_1", T, body);
    const [version, value = ""] = signature.split(",");
    expect(version).toBe("v1a");
    const holds = (content: Buffer) =>
      verify(null, content, consumerKey(publicKeyText(key)), Buffer.from(value, "base64"));
    expect(holds(Buffer.concat([Buffer.from(`msg_1.${T}.`), body]))).toBe(true);
    expect(holds(Buffer.concat([Buffer.from(`msg_2.${T}.`), body]))).toBe(false);
    expect(holds(Buffer.concat([Buffer.from(`msg_1.${T + 1}.`), body]))).toBe(false);
    expect(holds(Buffer.concat([Buffer.from(`msg_1.${T}.`), body.subarray(1)]))).toBe(false);
  });

  test("each key signs, in the order given", () => {
    const keys = [...prepareForwardSecrets([generateSecret()]), key, prepareSigningKey(generateSigningKey())];
    const signatures = signPrepared(keys, "msg_1", T, body).split(" ");
    expect(signatures.map((one) => one.split(",")[0])).toEqual(["v1", "v1a", "v1a"]);
    expect(new Set(signatures).size).toBe(3);
  });
});
