/** Requests as Linear sends them. */
import { createHmac, randomUUID } from "node:crypto";
import { type Answer, send } from "../support/api.ts";
import type { Headers } from "./senders.ts";

export interface LinearRequest {
  readonly body: string;
  readonly headers: Headers;
}

/** Members of the body, and headers, in place of the usual ones; undefined leaves one out. */
export interface LinearChange {
  readonly body?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request signed with the secret. `webhookId` is Linear's own. */
export function linearRequest(secret: string, nowMs: number, change: LinearChange = {}): LinearRequest {
  const body = JSON.stringify({
    action: "create",
    type: "Issue",
    data: { id: randomUUID(), title: "Zażółć" },
    webhookTimestamp: nowMs,
    webhookId: "11111111-2222-3333-4444-555555555555",
    ...change.body,
  });
  const headers = {
    "linear-delivery": randomUUID(),
    "linear-event": "Issue",
    "linear-signature": createHmac("sha256", secret).update(body).digest("hex"),
    ...change.headers,
  };
  return { body, headers };
}

export const sendLinear = (origin: string, { body, headers }: LinearRequest): Promise<Answer> =>
  send(`${origin}/api/v1/webhooks/linear`, body, headers);
