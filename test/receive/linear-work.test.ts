/** What a request to the URL of all Linear webhooks costs: every comparison is a step that others need not wait for. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { FairWork } from "../../src/core/fair-work.ts";
import { startService, type TestService } from "../support/service.ts";
import { linearRequest, sendLinear } from "./linear-senders.ts";
import { type CreatedWebhook, createWebhook, eventsOf } from "./senders.ts";

/** Comparisons since the last step of the shared work began or ended. */
const run = vi.hoisted(() => ({ comparisons: 0 }));

vi.mock("../../src/security/constant-time.ts", async (original) => {
  const real = await original<typeof import("../../src/security/constant-time.ts")>();
  const sameBytes = (left: Buffer, right: Buffer) => {
    run.comparisons += 1;
    return real.sameBytes(left, right);
  };
  return { ...real, sameBytes };
});

const SHARERS = 24;
/** The longest runs of comparisons, in a step and between steps. */
let longest = { inStep: 0, between: 0 };
let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

beforeEach(() => {
  const work = FairWork.prototype.do;
  vi.spyOn(FairWork.prototype, "do").mockImplementation(function <Result>(
    this: FairWork,
    client: string,
    steps: Iterator<void, Result>,
  ) {
    const next = () => {
      longest.between = Math.max(longest.between, run.comparisons);
      run.comparisons = 0;
      const step = steps.next();
      longest.inStep = Math.max(longest.inStep, run.comparisons);
      run.comparisons = 0;
      return step;
    };
    return work.call(this, client, { next }) as Promise<Result>;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Sends a request without a hint, and tells whose it was. */
async function receive(secret: string, webhooks: readonly CreatedWebhook[]): Promise<number> {
  longest = { inStep: 0, between: 0 };
  run.comparisons = 0;
  const answer = await sendLinear(
    service.url,
    linearRequest(secret, Date.now(), { body: { webhookId: randomUUID() } }),
  );
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  longest.between = Math.max(longest.between, run.comparisons);
  const counts = await Promise.all(webhooks.map(async (webhook) => (await eventsOf(service.api, webhook)).length));
  return counts.findIndex((count) => count > 0);
}

test("webhooks that share a secret are compared one in a step", async () => {
  const [first, second] = [`lin_wh_${randomUUID()}`, `lin_wh_${randomUUID()}`];
  const webhooks: CreatedWebhook[] = [];
  for (let n = 0; n < SHARERS; n++) {
    webhooks.push(await createWebhook(service.api, { source: "linear", secret: first }));
  }
  expect(await receive(first, webhooks)).toBe(0);
  // All share the first secret for a while, and only the newest has the one that signs.
  const newest = webhooks.at(-1);
  await service.api.post(`/webhooks/${newest?.id}/rotate`, { secret: second, gracePeriodSeconds: 3_600 });
  expect(await receive(second, webhooks.slice(1))).toBe(SHARERS - 2);
  // A webhook has two secrets at most; those that changed are opened, and the receive itself verifies once more.
  expect(longest.inStep).toBeLessThanOrEqual(2);
  expect(longest.between).toBeLessThanOrEqual(8);
});
