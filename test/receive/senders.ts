/** What the receive tests share: webhooks, and requests signed by the providers' own libraries. */
import { sign as signForGithub } from "@octokit/webhooks-methods";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { expect } from "vitest";
import { type Answer, type Api, hubSignature, send } from "../support/api.ts";

/** An answer's body: judged by what it holds. */
export type Json = Answer["body"];
export type Headers = Readonly<Record<string, string>>;

export interface CreatedWebhook {
  readonly id: string;
  readonly receiveUrl: string;
  readonly secret: string;
}

export async function createWebhook(api: Api, settings: object = {}): Promise<CreatedWebhook> {
  const { status, body } = await api.post("/webhooks", { name: "receives", ...settings });
  expect(status, JSON.stringify(body)).toBe(201);
  return { id: body.id, receiveUrl: body.receiveUrl, secret: body.secret };
}

/** The path of a webhook on another replica. */
export const receiveUrlAt = (origin: string, { id }: CreatedWebhook): string =>
  `${origin}/api/v1/webhooks/receive/${id}`;

const stripe = new Stripe("sk_test_unused");

/** Seconds since 1970, `ago` seconds before now. */
export const seconds = (ago = 0): number => Math.floor(Date.now() / 1_000) - ago;

export function stripeHeaders(secret: string, payload: string, timestamp = seconds()): Headers {
  return { "stripe-signature": stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp }) };
}

export async function githubHeaders(
  secret: string,
  payload: string,
  { delivery = "72d3162e-cc78-11e3-81ab-4c9367dc0958", event = "issues" } = {},
): Promise<Headers> {
  return {
    "x-hub-signature-256": await signForGithub(secret, payload),
    "x-github-event": event,
    "x-github-delivery": delivery,
  };
}

export function standardHeaders(secret: string, payload: string, id = "msg_1", timestamp = seconds()): Headers {
  const signature = new StandardWebhook(secret).sign(id, new Date(timestamp * 1_000), payload);
  return { "webhook-id": id, "webhook-timestamp": String(timestamp), "webhook-signature": signature };
}

/** Sends an event in the hub form, expects that it is taken, and resolves to its id. */
export async function sendHub(
  webhook: CreatedWebhook,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Headers = {},
): Promise<string> {
  const answer = await send(webhook.receiveUrl, body, { ...hubSignature(webhook.secret, body), ...headers });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body.eventId;
}

/** One recorded event, as the API shows it. */
export async function readEvent(api: Api, eventId: string): Promise<Json> {
  const { status, body } = await api.get(`/webhooks/events/${eventId}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

/** The webhook's events, newest first. */
export async function eventsOf(api: Api, { id }: CreatedWebhook): Promise<Json[]> {
  const { status, body } = await api.get(`/webhooks/${id}/events?limit=100`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body.items;
}

/** `[status, code]` of a refusal. */
export const refused = ({ status, body }: Answer): readonly [number, string] => [status, body?.error?.code];
