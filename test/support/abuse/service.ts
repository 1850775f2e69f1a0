/** A real service that is abused, and the well-behaved client's requests: health, an API call, a signed receive. */
import type { Limits } from "../../../src/config.ts";
import { hubSignature } from "../api.ts";
import { startService, type TestService, type TestServiceOptions } from "../service.ts";
import { AbuseHarness } from "./harness.ts";

export interface AbusedService {
  readonly service: TestService;
  readonly harness: AbuseHarness;
  /** Prints the harness's table and stops the service. */
  end(): Promise<void>;
}

/** `limits` take the place of those in LIMITS, so that time-outs need not be waited for. */
export async function startAbusedService(
  limits: Partial<Limits> = {},
  options: TestServiceOptions = {},
): Promise<AbusedService> {
  const service = await startService({ ...options, limits });
  const { body: webhook } = await service.api.post("/webhooks", { name: "well-behaved" });
  const body = '{"type":"order.paid","n":1}';
  const harness = new AbuseHarness({
    port: service.port,
    counts: () => service.app.counts(),
    requests: [
      { method: "GET", path: "/healthz", status: 200 },
      { method: "GET", path: "/api/v1/webhooks", headers: { authorization: `Bearer ${service.key}` }, status: 200 },
      {
        method: "POST",
        path: new URL(webhook.receiveUrl).pathname,
        headers: hubSignature(webhook.secret, body),
        body,
        status: 200,
      },
    ],
  });
  return {
    service,
    harness,
    end: async () => {
      harness.print();
      await service.stop();
    },
  };
}
