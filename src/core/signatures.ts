/** Judging captured requests, and sending test events through the real receive path. */
import type { Clock } from "../clock.ts";
import { AppError, invalidField } from "../errors.ts";
import { identify } from "../signature/event-identity.ts";
import { SigningError, samplePayload, sign } from "../signature/sign.ts";
import { findSource, type PreparedSecrets, prepareSecrets, secretProblem } from "../signature/source.ts";
import { verify } from "../signature/verify.ts";
import type { HeaderList } from "../store/entities/event.ts";
import type { Caller } from "./caller.ts";
import { newId } from "./ids.ts";
import type { Receipt, Receiver } from "./receive.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import type { WebhookLoader } from "./webhook-loader.ts";
import { noSuchWebhook } from "./webhook-settings.ts";

/** A captured request, and what to judge it by: a webhook of the caller's, or a source and a secret. */
export interface CapturedRequest {
  readonly subject: { readonly webhookId: string } | { readonly source: string; readonly secret: string };
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly method: string;
  readonly url: string | undefined;
  /** The time to judge timestamps against, milliseconds; now if undefined. */
  readonly atMs: number | undefined;
}

export interface SignatureVerdict {
  readonly valid: boolean;
  readonly scheme: string;
  readonly reason: string | null;
  readonly eventType: string | null;
  readonly eventId: string | null;
}

export class Signatures {
  readonly #loader: WebhookLoader<ReceivingWebhook>;
  readonly #receiver: Receiver;
  readonly #clock: Clock;

  constructor(options: { loader: WebhookLoader<ReceivingWebhook>; receiver: Receiver; clock: Clock }) {
    this.#loader = options.loader;
    this.#receiver = options.receiver;
    this.#clock = options.clock;
  }

  /** The verdict on a captured request. An invalid signature is an answer, not an error. */
  async verify(caller: Caller, captured: CapturedRequest): Promise<SignatureVerdict> {
    const nowMs = captured.atMs ?? this.#clock.now();
    const keys = await this.#keys(caller, captured.subject, nowMs);
    const headers = new Map(Object.entries(captured.headers).map(([name, value]) => [name.toLowerCase(), value]));
    const request = {
      header: (name: string) => headers.get(name),
      body: captured.body,
      method: captured.method,
      url: captured.url,
    };
    const verdict = verify(keys.source, keys, request, nowMs);
    const { type, id } = identify(keys.source, request);
    const reason = verdict.valid ? null : verdict.reason;
    return { valid: verdict.valid, scheme: verdict.scheme, reason, eventType: type, eventId: id };
  }

  async #keys(caller: Caller, subject: CapturedRequest["subject"], nowMs: number): Promise<PreparedSecrets> {
    if ("webhookId" in subject) return (await this.#webhook(caller, subject.webhookId)).keysAt(nowMs);
    const source = findSource(subject.source);
    const problem = secretProblem(source, subject.secret);
    if (problem !== null) throw invalidField("secret", "secret", problem);
    return prepareSecrets(source, [subject.secret]);
  }

  /** Signs a synthetic event as the webhook's source would, and receives it. `payload` is any JSON value. */
  async sendTest(
    caller: Caller,
    test: { webhookId: string; eventType: string | undefined; payload: unknown },
  ): Promise<Receipt> {
    const webhook = await this.#webhook(caller, test.webhookId);
    const secret = webhook.currentSecret;
    if (secret === undefined) throw new AppError("CONFLICT", "the webhook has no usable secret; rotate it");
    const type = test.eventType ?? webhook.record.events.find((pattern) => !pattern.includes("*")) ?? "test";
    const eventId = `test_${newId().replaceAll("-", "")}`;
    const nowMs = this.#clock.now();
    const payload = withSample(test.payload, samplePayload(webhook.source, { type, eventId, nowMs }));
    const body = Buffer.from(JSON.stringify(payload));
    const headers: HeaderList = [["content-type", "application/json"]];
    try {
      for (const { name, value } of sign(webhook.source, secret, { body, type, eventId, nowMs })) {
        headers.push([name, value]);
      }
    } catch (error) {
      if (error instanceof SigningError) throw new AppError("CONFLICT", `no test event: ${error.message}`);
      throw error;
    }
    return await this.#receiver.receive({
      webhookId: webhook.record.id,
      request: { header: lookupIn(headers), body, method: "POST", url: undefined },
      headers,
      contentType: "application/json",
      synthetic: true,
    });
  }

  async #webhook(caller: Caller, id: string): Promise<ReceivingWebhook> {
    const webhook = await this.#loader.refresh(id.toLowerCase());
    if (webhook?.record.organizationId !== caller.organizationId) throw noSuchWebhook();
    return webhook;
  }
}

/** The payload to send: the sample's type and id stand in an object that has none, any other JSON value goes as it is. */
function withSample(payload: unknown, sample: unknown): unknown {
  if (payload === undefined) return { ...(sample as object), test: true, message: "A test event from Alumia Webhooks" };
  const isObject = typeof payload === "object" && payload !== null && !Array.isArray(payload);
  return isObject ? { ...(sample as object), ...payload } : payload;
}

function lookupIn(headers: HeaderList): (name: string) => string | undefined {
  const map = new Map(headers);
  return (name) => map.get(name);
}
