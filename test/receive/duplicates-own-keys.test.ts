/**
 * Repeats of the sources that sign with a key of their own, as `duplicates-by-source` has those that we can sign for:
 * dropped in one batch and across replicas, distinct events never.
 */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { canSign } from "../../src/signature/sign.ts";
import { SOURCES } from "../../src/signature/source.ts";
import { send } from "../support/api.ts";
import { answering, type KeyVendor, startKeyVendor, vendorFile } from "../support/key-vendor.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf, readEvent, receiveUrlAt } from "./senders.ts";
import { certificateUrl, PLAID_JWK, paypal, plaid, type Signed, sns, TOPIC, WEBHOOK_ID } from "./vendor-requests.ts";

let vendor: KeyVendor;
let service: TestService;
let replica: TestService;

beforeAll(async () => {
  vendor = await startKeyVendor();
  vendor.behave((request, response) => {
    const files = { paypal: "paypal-chain.pem", "sns.": "sns.pem" };
    const file = Object.entries(files).find(([host]) => request.url.includes(host))?.[1];
    answering(200, file ? vendorFile(file) : JSON.stringify({ key: PLAID_JWK }))(request, response);
  });
  service = await startService(vendor.seams);
  replica = await startService({ ...vendor.seams, replicaOf: service });
});
afterAll(async () => {
  await replica?.stop();
  await service?.stop();
  await vendor?.close();
});

const edwards = generateKeyPairSync("ed25519");
const elliptic = generateKeyPairSync("ec", { namedCurve: "P-256" });
const der = (key: KeyObject) => key.export({ format: "der", type: "spki" });
const rawKey = der(edwards.publicKey).subarray(-32);
const seconds = () => String(Math.floor(Date.now() / 1_000));
const ed25519 = (content: string, encoding: "hex" | "base64") =>
  sign(null, Buffer.from(content), edwards.privateKey).toString(encoding);

/** One event of a source: which one, and what else stands in it. */
type Make = (id: string, n: number) => Signed;

interface Case {
  readonly secret: string;
  readonly make: Make;
  /** What the same id with another body is. */
  readonly otherBody: "new" | "flagged" | "repeat";
  /** Whether the same again is a repeat. */
  readonly isRepeat: boolean;
}

const CASES: Readonly<Record<string, Case>> = {
  "standardwebhooks-v1a": {
    secret: `whpk_${rawKey.toString("base64")}`,
    make(id, n) {
      const [time, body] = [seconds(), JSON.stringify({ type: "a.b", n })];
      const signature = `v1a,${ed25519(`${id}.${time}.${body}`, "base64")}`;
      return { body, headers: { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": signature } };
    },
    otherBody: "flagged",
    isRepeat: true,
  },
  discord: {
    secret: rawKey.toString("hex"),
    make(id, n) {
      const [time, body] = [seconds(), JSON.stringify({ type: 2, id, n })];
      const signature = ed25519(time + body, "hex");
      return { body, headers: { "x-signature-timestamp": time, "x-signature-ed25519": signature } };
    },
    otherBody: "flagged",
    isRepeat: true,
  },
  telnyx: {
    secret: rawKey.toString("base64"),
    make(id, n) {
      const [time, body] = [seconds(), JSON.stringify({ data: { event_type: "a.b", id }, meta: { attempt: n } })];
      const signature = ed25519(`${time}|${body}`, "base64");
      return { body, headers: { "telnyx-timestamp": time, "telnyx-signature-ed25519": signature } };
    },
    otherBody: "repeat",
    isRepeat: true,
  },
  sendgrid: {
    secret: der(elliptic.publicKey).toString("base64"),
    make(id, n) {
      const [time, body] = [seconds(), `${JSON.stringify([{ event: "open", sg_event_id: id, n }])}\r\n`];
      const signature = sign("sha256", Buffer.from(time + body), elliptic.privateKey).toString("base64");
      const name = "x-twilio-email-event-webhook";
      return { body, headers: { [`${name}-timestamp`]: time, [`${name}-signature`]: signature } };
    },
    otherBody: "new",
    isRepeat: false,
  },
  paypal: {
    secret: WEBHOOK_ID,
    make: (id, n) => paypal(Number(id.slice(2)), certificateUrl("360caa42-fca2a594"), {}, n),
    otherBody: "flagged",
    isRepeat: true,
  },
  "aws-sns": {
    secret: TOPIC,
    make: (id, n) => sns({ MessageId: id, Message: `hello ${n}` }),
    otherBody: "flagged",
    isRepeat: true,
  },
  plaid: {
    secret: "sandbox:client0123:secret0123",
    make: (id, n) => plaid(Math.floor(Date.now() / 60_000) * 60_000 + Number(id.slice(2)) * 10 + n),
    otherBody: "new",
    isRepeat: false,
  },
};

test("every source is here that we cannot sign for", () => {
  const ours = SOURCES.filter((source) => !canSign(source)).map(({ name }) => name);
  expect(Object.keys(CASES).sort()).toEqual(ours.sort());
});

describe.each(Object.entries(CASES))("%s", (source, { secret, make, otherBody, isRepeat }) => {
  const create = () => createWebhook(service.api, { source, secret });
  const post = async (to: TestService, webhook: CreatedWebhook, { body, headers }: Signed) => {
    const answer = await send(receiveUrlAt(to.url, webhook), body, { "content-type": "application/json", ...headers });
    expect([200, 204], JSON.stringify(answer.body)).toContain(answer.status);
  };

  /** What the second event is that is sent to the other replica. */
  async function second(first: Signed, then: Signed): Promise<"new" | "flagged" | "repeat"> {
    const webhook = await create();
    await post(service, webhook, first);
    await post(replica, webhook, then);
    const events = await eventsOf(service.api, webhook);
    if (events.length === 1) return "repeat";
    const latest = await readEvent(service.api, events[0]?.id ?? "");
    return latest.sourceEventIdReused ? "flagged" : "new";
  }

  test("the same again, another body, another id", async () => {
    expect(await second(make("id1", 1), make("id1", 1))).toBe(isRepeat ? "repeat" : "new");
    expect(await second(make("id1", 1), make("id1", 2))).toBe(otherBody);
    expect(await second(make("id1", 1), make("id2", 1))).toBe("new");
  });

  test("many at once, at both replicas", async () => {
    const webhook = await create();
    const signed = make("id1", 1);
    await Promise.all(Array.from({ length: 12 }, (_, index) => post(index % 2 ? service : replica, webhook, signed)));
    expect(await eventsOf(service.api, webhook)).toHaveLength(isRepeat ? 1 : 12);
  });
});
