/** Requests of the vendors whose keys must be fetched, signed with the keys of `test/support/vendor-keys`. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { crc32 } from "node:zlib";
import { vendorFile } from "../support/key-vendor.ts";

export interface Signed {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const signerKey = createPrivateKey(vendorFile("signer-key.pem"));

export const WEBHOOK_ID = "1JE4291016473214C";
export const certificateUrl = (id: string) => `https://api.paypal.com/v1/notifications/certs/CERT-${id}`;

export function paypal(
  event: number,
  certificate: string,
  changes: Readonly<Record<string, string>> = {},
  amount = 1,
): Signed {
  const body = JSON.stringify({ id: `WH-${event}`, event_type: "PAYMENT.SALE.COMPLETED", amount });
  const id = "103e3700-8b0c-11e6-8695-6b62a8a99ac4";
  const time = "2026-01-01T00:00:00Z";
  const content = Buffer.from(`${id}|${time}|${WEBHOOK_ID}|${crc32(body)}`);
  const headers = {
    "paypal-transmission-id": id,
    "paypal-transmission-time": time,
    "paypal-auth-algo": "SHA256withRSA",
    "paypal-cert-url": certificate,
    "paypal-transmission-sig": sign("sha256", content, signerKey).toString("base64"),
    ...changes,
  };
  return { headers, body };
}

export const TOPIC = "arn:aws:sns:eu-west-1:123456789012:orders";
export const SNS_CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem";

/** What is changed of a signed field is signed. */
export function sns(changes: Readonly<Record<string, string>> = {}): Signed {
  const message: Record<string, string> = {
    Message: "hello",
    MessageId: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    ...pick(changes, "SubscribeURL"),
    Timestamp: "2026-01-01T00:00:00.000Z",
    ...pick(changes, "Token"),
    TopicArn: TOPIC,
    Type: "Notification",
    ...pick(changes, "TopicArn"),
    ...pick(changes, "Type"),
    ...pick(changes, "Message"),
    ...pick(changes, "MessageId"),
  };
  const content = Object.entries(message)
    .map(([name, value]) => `${name}\n${value}\n`)
    .join("");
  const Signature = sign("sha256", Buffer.from(content), signerKey).toString("base64");
  const body = { ...message, SignatureVersion: "2", Signature, SigningCertURL: SNS_CERTIFICATE, ...changes };
  return { headers: { "content-type": "text/plain; charset=UTF-8" }, body: JSON.stringify(body) };
}

const pick = (from: Readonly<Record<string, string>>, name: string) => (from[name] ? { [name]: from[name] } : {});

const jwtPart = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

function jwt(header: object, claims: object, key: KeyObject): string {
  const signed = `${jwtPart(header)}.${jwtPart(claims)}`;
  const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}

const plaidKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
export const PLAID_KEY_ID = "bfbd5111-8e33-4643-8ced-b2e642a72f3c";
export const PLAID_JWK = {
  ...plaidKey.publicKey.export({ format: "jwk" }),
  alg: "ES256",
  use: "sig",
  kid: PLAID_KEY_ID,
};

export function plaid(nowMs: number, kid = PLAID_KEY_ID): Signed {
  const body = JSON.stringify(
    { webhook_type: "TRANSACTIONS", webhook_code: "SYNC_UPDATES_AVAILABLE", n: nowMs },
    null,
    2,
  );
  const claims = {
    iat: Math.floor(nowMs / 1000),
    request_body_sha256: createHash("sha256").update(body).digest("hex"),
  };
  return {
    headers: { "plaid-verification": jwt({ alg: "ES256", kid, typ: "JWT" }, claims, plaidKey.privateKey) },
    body,
  };
}

export const APPLICATION = "8e460676-ae3f-4b1e-8790-ee0fb5d6ae7d";
export const TENANT = "84bd8158-6d4d-4958-8b9f-9d6445542f95";
const GRAPH_KEY_ID = "kid-0123456789";
export const GRAPH_JWK = { ...createPublicKey(signerKey).export({ format: "jwk" }), kid: GRAPH_KEY_ID, use: "sig" };

export function graph(nowMs: number, clientState: string, changes: object = {}, kid = GRAPH_KEY_ID): Signed {
  const now = Math.floor(nowMs / 1000);
  const claims = {
    aud: APPLICATION,
    iss: `https://login.microsoftonline.com/${TENANT}/v2.0`,
    azp: "0bf30f3b-4a52-48df-9a82-234910c4a086",
    nbf: now - 5,
    exp: now + 3_600,
    ...changes,
  };
  const item = { id: "n1", clientState, changeType: "created", encryptedContent: { data: "AAAA" } };
  const body = { value: [item], validationTokens: [jwt({ alg: "RS256", kid, typ: "JWT" }, claims, signerKey)] };
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}
