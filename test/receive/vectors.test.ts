/** The shared vectors, made by vendors' code or printed in their docs, posted to a service whose clock stands at their time. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { send } from "../support/api.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { createWebhook, eventsOf, readEvent } from "./senders.ts";

interface Vector {
  readonly provider: string;
  readonly secret: string;
  readonly timestamp?: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const { vectors } = JSON.parse(readFileSync(new URL("../signature/vectors.json", import.meta.url), "utf8")) as {
  vectors: readonly Vector[];
};
/** Time of the vectors that carry none, seconds since 1970. */
const T = 1_700_000_000;

const clock = new ManualClock();
let service: TestService;

beforeAll(async () => {
  service = await startService({ clock });
});
afterAll(async () => {
  await service?.stop();
});

/** Posts the vector `offset` seconds after its own time to a new webhook that has its secret. */
async function post(provider: string, source: string, offset: number, suffix = "") {
  const vector = vectors.find((candidate) => candidate.provider === provider);
  if (!vector) throw new Error(`no vector ${provider}`);
  const { secret, headers, body, timestamp = T } = vector;
  clock.advance((timestamp + offset) * 1_000 - clock.now());
  const webhook = await createWebhook(service.api, { source, secret });
  return { webhook, vector, answer: await send(webhook.receiveUrl, `${body}${suffix}`, headers) };
}

const cases: [provider: string, source: string, offset: number, status: number][] = [
  ["stripe", "stripe", 0, 200],
  ["stripe", "stripe", 300, 200],
  ["stripe", "stripe", 301, 401],
  ["stripe", "stripe", -3_600, 200],
  ["stripe-rotation", "stripe", 0, 200],
  ["github", "github", 0, 200],
  ["github", "custom", 0, 200],
  ["github-docs-example", "github", 0, 200],
  ["standardwebhooks", "standardwebhooks", 0, 200],
  ["standardwebhooks", "standardwebhooks", 300, 200],
  ["standardwebhooks", "standardwebhooks", 301, 401],
  ["standardwebhooks", "standardwebhooks", -300, 200],
  ["standardwebhooks", "standardwebhooks", -301, 401],
  ["standardwebhooks", "custom", 0, 200],
  ["standardwebhooks", "custom", 301, 401],
  ["standardwebhooks-published", "standardwebhooks", 0, 200],
  ["standardwebhooks-published", "custom", 0, 200],
];

test.each(cases)("%s at a %s webhook, %i s after its time: %i", async (provider, source, offset, status) => {
  const { webhook, vector, answer } = await post(provider, source, offset);
  expect(answer.status, JSON.stringify(answer.body)).toBe(status);
  if (status === 200) {
    const event = await readEvent(service.api, answer.body.eventId);
    expect(event.payload).toBe(vector.body);
    expect(Date.parse(event.receivedAt)).toBe(clock.now());
  } else {
    expect(answer.body.error.message).toMatch(/^timestamp 301 s (old|ahead)/);
    expect(await eventsOf(service.api, webhook)).toEqual([]);
  }
});

test.each([
  ["stripe", "stripe"],
  ["github", "github"],
  ["github-docs-example", "github"],
  ["standardwebhooks", "standardwebhooks"],
])("%s with one byte more: 401", async (provider, source) => {
  const { webhook, answer } = await post(provider, source, 0, " ");
  expect(answer.status).toBe(401);
  expect(await eventsOf(service.api, webhook)).toEqual([]);
});
