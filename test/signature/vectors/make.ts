/**
 * Makes `own.json`: signed requests for sources of which `shared.json` has none. The openssl command line makes every
 * digest and signature, by the formulas in the vendors' docs; nothing of `src/` is used.
 *
 *   node test/signature/vectors/make.ts > test/signature/vectors/own.json
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const T = 1_700_000_000;
const T_ISO = "2023-11-14T22:13:20Z";
const BODY = '{"id":"evt_1","type":"issue.created","data":{"title":"Zażółć 🚀 \\"q\\"","n":1}}';
const URL_AT = "https://hooks.example.com/api/v1/webhooks/receive/0";
const WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECRET = "shared_secret_1";
const directory = mkdtempSync(join(tmpdir(), "vectors-"));

function openssl(args: readonly string[], input: string | Buffer = ""): Buffer {
  return execFileSync("openssl", args, { input, stdio: ["pipe", "pipe", "ignore"] });
}

function file(name: string, content: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

type Encoding = "hex" | "base64" | "base64url";

function mac(content: string, encoding: Encoding, key: string | Buffer = SECRET, algorithm = "sha256"): string {
  const hexkey = Buffer.from(key).toString("hex");
  const args = ["dgst", `-${algorithm}`, "-mac", "HMAC", "-macopt", `hexkey:${hexkey}`, "-binary"];
  return openssl(args, content).toString(encoding);
}

/** A new key pair: the private key's path, and the public key as SPKI. */
function keyPair(name: string, ...args: string[]) {
  const path = file(`${name}.pem`, openssl(["genpkey", ...args]));
  return { path, spki: openssl(["pkey", "-in", path, "-pubout", "-outform", "DER"]) };
}

function signEd25519(key: { path: string }, content: string): string {
  const input = file("content", content);
  return openssl(["pkeyutl", "-sign", "-inkey", key.path, "-rawin", "-in", input]).toString("base64");
}

const signRsa = (key: { path: string }, content: string, hash = "sha256") =>
  openssl(["dgst", `-${hash}`, "-sign", key.path], content);

const jwtPart = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

interface Made {
  readonly provider: string;
  readonly secret: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timestamp?: number;
  readonly url?: string;
  readonly publicKeyPem?: string;
  readonly checks?: Readonly<Record<string, boolean>>;
}

const standard = (provider: string, secret: string, key: Buffer): Made => {
  const signature = mac(`msg_1.${T}.${BODY}`, "base64", key);
  const headers = { "webhook-id": "msg_1", "webhook-timestamp": String(T), "webhook-signature": `v1,${signature}` };
  return { provider, secret, timestamp: T, headers };
};
const whsecBytes = Buffer.from(WHSEC.slice(6), "base64");

const ed25519 = keyPair("ed25519", "-algorithm", "ed25519");
const ed25519Raw = ed25519.spki.subarray(-32).toString("base64");
const rsa = keyPair("rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048");
const rsaPem = openssl(["pkey", "-in", rsa.path, "-pubout"]).toString();

const TOPIC = "arn:aws:sns:eu-west-1:123456789012:orders";
const sns = {
  Type: "Notification",
  MessageId: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
  TopicArn: TOPIC,
  Subject: "An order",
  Message: '{"order":1}\nZażółć 🚀',
  Timestamp: "2023-11-14T22:13:20.000Z",
};
const confirmation = {
  Type: "SubscriptionConfirmation",
  MessageId: "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
  Token: "2336412f37",
  TopicArn: TOPIC,
  Message: "You have chosen to subscribe to the topic.",
  SubscribeURL: "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37",
  Timestamp: "2023-11-14T22:13:20.000Z",
};

function snsVector(message: Readonly<Record<string, string>>, version: "1" | "2"): Made {
  const names = Object.keys(message).sort();
  const content = names.map((name) => `${name}\n${message[name]}\n`).join("");
  const body = JSON.stringify({
    ...message,
    SignatureVersion: version,
    Signature: signRsa(rsa, content, version === "1" ? "sha1" : "sha256").toString("base64"),
    SigningCertURL:
      "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-01d088a6f77103d0fe307c0069e40ed6.pem",
  });
  const headers = { "content-type": "text/plain; charset=UTF-8" };
  return { provider: "aws-sns", secret: TOPIC, headers, body, publicKeyPem: rsaPem };
}

const APPLICATION = "8e460676-ae3f-4b1e-8790-ee0fb5d6ae7d";
const TENANT = "84bd8158-6d4d-4958-8b9f-9d6445542f95";
const graphClaims = {
  aud: APPLICATION,
  iss: `https://sts.windows.net/${TENANT}/`,
  appid: "0bf30f3b-4a52-48df-9a82-234910c4a086",
  nbf: T - 10,
  exp: T + 3_600,
};
const graphToken = [jwtPart({ alg: "RS256", typ: "JWT", kid: "kid-0123456789" }), jwtPart(graphClaims)].join(".");
const graphItem = { id: "n1", subscriptionId: "s1", clientState: "state-1", changeType: "created" };

const contentfulHeaders = {
  "x-contentful-topic": "ContentManagement.Entry.publish",
  "x-contentful-timestamp": String(T * 1000),
  "x-contentful-signed-headers": "x-contentful-signed-headers,x-contentful-timestamp,x-contentful-topic",
};
const contentfulContent = [
  "POST",
  "/api/v1/webhooks/receive/0",
  [
    `x-contentful-signed-headers:${contentfulHeaders["x-contentful-signed-headers"]}`,
    `x-contentful-timestamp:${contentfulHeaders["x-contentful-timestamp"]}`,
    `x-contentful-topic:${contentfulHeaders["x-contentful-topic"]}`,
  ].join(";"),
  BODY,
].join("\n");
const CONTENTFUL_SECRET = "0123456789abcdef".repeat(4);
const HEX_SECRET = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
const NFKD_SECRET = "sécrét-ﬁ";

const VECTORS: readonly Made[] = [
  { provider: "custom", secret: SECRET, headers: { "x-hub-signature-256": `sha256=${mac(BODY, "hex")}` } },
  standard("custom", WHSEC, whsecBytes),
  {
    provider: "standardwebhooks-v1a",
    secret: `whpk_${ed25519Raw}`,
    timestamp: T,
    headers: {
      "webhook-id": "msg_1",
      "webhook-timestamp": String(T),
      "webhook-signature": `v1,AAAA v1a,${signEd25519(ed25519, `msg_1.${T}.${BODY}`)}`,
    },
  },
  standard("openai", "text that is no whsec_", Buffer.from("text that is no whsec_")),
  standard("supabase", `v1,${WHSEC}`, whsecBytes),
  { provider: "supabase", secret: "db-hook-token", headers: { authorization: "Bearer db-hook-token" } },
  standard("polar", WHSEC, Buffer.from(WHSEC)),
  {
    provider: "adyen-platform",
    secret: HEX_SECRET,
    headers: { hmacsignature: mac(BODY, "base64", Buffer.from(HEX_SECRET, "hex")) },
  },
  { provider: "razorpay", secret: SECRET, headers: { "x-razorpay-signature": mac(BODY, "hex") } },
  { provider: "gocardless", secret: SECRET, headers: { "webhook-signature": mac(BODY, "hex") } },
  {
    provider: "shopify",
    secret: SECRET,
    headers: { "shopify-hmac-sha256": mac(BODY, "base64"), "shopify-topic": "orders/create" },
  },
  {
    provider: "paddle",
    secret: "pdl_ntfset_01",
    timestamp: T,
    headers: { "paddle-signature": `ts=${T};h1=${mac(`${T}:${BODY}`, "hex", "pdl_ntfset_01")}` },
  },
  {
    provider: "easypost",
    secret: NFKD_SECRET,
    headers: { "x-hmac-signature": `hmac-sha256-hex=${mac(BODY, "hex", NFKD_SECRET.normalize("NFKD"))}` },
  },
  { provider: "gitlab", secret: "a-gitlab-token", headers: { "x-gitlab-token": "a-gitlab-token" } },
  standard("gitlab", WHSEC, whsecBytes),
  {
    provider: "circleci",
    secret: SECRET,
    headers: { "circleci-signature": `v1=${mac(BODY, "hex")},v2=00` },
  },
  {
    provider: "buildkite",
    secret: SECRET,
    timestamp: T,
    headers: { "x-buildkite-signature": `timestamp=${T},signature=${mac(`${T}.${BODY}`, "hex")}` },
  },
  { provider: "buildkite", secret: SECRET, headers: { "x-buildkite-token": SECRET } },
  { provider: "sentry", secret: SECRET, headers: { "sentry-hook-signature": mac(BODY, "hex") } },
  {
    provider: "pagerduty",
    secret: SECRET,
    headers: { "x-pagerduty-signature": `v1=${"0".repeat(64)},v1=${mac(BODY, "hex")}` },
  },
  { provider: "okta", secret: "an okta header", headers: { authorization: "an okta header" } },
  {
    provider: "workos",
    secret: SECRET,
    timestamp: T,
    headers: { "workos-signature": `t=${T}000, v1=${mac(`${T}000.${BODY}`, "hex")}` },
  },
  snsVector(sns, "1"),
  snsVector(sns, "2"),
  snsVector(confirmation, "2"),
  { provider: "telegram", secret: "tele_gram-1", headers: { "x-telegram-bot-api-secret-token": "tele_gram-1" } },
  { provider: "line", secret: SECRET, headers: { "x-line-signature": mac(BODY, "base64") } },
  {
    provider: "telnyx",
    secret: ed25519Raw,
    timestamp: T,
    headers: { "telnyx-timestamp": String(T), "telnyx-signature-ed25519": signEd25519(ed25519, `${T}|${BODY}`) },
  },
  {
    provider: "postmark",
    secret: "user:pass:word",
    headers: { authorization: `basic ${Buffer.from("user:pass:word").toString("base64")}` },
  },
  {
    provider: "mux",
    secret: SECRET,
    timestamp: T,
    headers: { "mux-signature": `t=${T},v1=${mac(`${T}.${BODY}`, "hex")}` },
  },
  {
    provider: "elevenlabs",
    secret: SECRET,
    timestamp: T,
    headers: { "elevenlabs-signature": `t=${T},v0=${mac(`${T}.${BODY}`, "hex")}` },
  },
  {
    provider: "trello",
    secret: SECRET,
    url: URL_AT,
    headers: { "x-trello-webhook": mac(`${BODY}${URL_AT}`, "base64", SECRET, "sha1") },
    checks: { reject_wrong_url: true },
  },
  { provider: "figma", secret: "pass-code", headers: {}, body: '{"event_type":"FILE_UPDATE","passcode":"pass-code"}' },
  {
    provider: "calendly",
    secret: SECRET,
    timestamp: T,
    headers: { "calendly-webhook-signature": `t=${T},v1=${mac(`${T}.${BODY}`, "hex")}` },
  },
  {
    provider: "box",
    secret: "primary-key:secondary-key",
    timestamp: T,
    headers: {
      "box-delivery-timestamp": T_ISO,
      "box-signature-primary": mac(`${BODY}${T_ISO}`, "base64", "a replaced key"),
      "box-signature-secondary": mac(`${BODY}${T_ISO}`, "base64", "secondary-key"),
    },
  },
  {
    provider: "hubspot",
    secret: SECRET,
    timestamp: T,
    url: `${URL_AT}?a=%3A%2F`,
    headers: {
      "x-hubspot-request-timestamp": `${T}000`,
      "x-hubspot-signature-v3": mac(`POST${URL_AT}?a=:/${BODY}${T}000`, "base64"),
    },
    checks: { reject_wrong_url: true },
  },
  {
    provider: "zendesk",
    secret: SECRET,
    timestamp: T,
    headers: {
      "x-zendesk-webhook-signature-timestamp": T_ISO,
      "x-zendesk-webhook-signature": mac(`${T_ISO}${BODY}`, "base64"),
    },
  },
  { provider: "intercom", secret: SECRET, headers: { "x-hub-signature": `sha1=${mac(BODY, "hex", SECRET, "sha1")}` } },
  {
    provider: "contentful",
    secret: CONTENTFUL_SECRET,
    timestamp: T,
    url: URL_AT,
    headers: { ...contentfulHeaders, "x-contentful-signature": mac(contentfulContent, "hex", CONTENTFUL_SECRET) },
  },
  {
    provider: "microsoft-graph",
    secret: "state-1",
    headers: {},
    body: JSON.stringify({ value: [graphItem, { ...graphItem, id: "n2" }] }),
  },
  {
    provider: "microsoft-graph",
    secret: `state-1:${APPLICATION}:${TENANT}`,
    timestamp: T,
    headers: {},
    publicKeyPem: rsaPem,
    body: JSON.stringify({
      value: [{ ...graphItem, encryptedContent: { data: "AAAA" } }],
      validationTokens: [`${graphToken}.${signRsa(rsa, graphToken).toString("base64url")}`],
    }),
  },
];

const impl = `${openssl(["version"]).toString().split("(")[0]?.trim()} command line; formula from vendor docs`;
const vectors = VECTORS.map(({ provider, ...vector }) => ({
  provider,
  origin: "computed",
  impl,
  ...vector,
  body: vector.body ?? BODY,
  checks: vector.checks ?? {},
}));
process.stdout.write(`${JSON.stringify({ vectors }, null, 1)}\n`);
