/** Judging captured requests, and sending test events through the real receive path. */
import type { Clock } from "../clock.ts";
import { AppError, invalidField } from "../errors.ts";
import type { CompiledSource } from "../signature/compile.ts";
import { identify } from "../signature/event-identity.ts";
import { canSign, type SignedRequest, type SignInput, SigningError, samplePayload, sign } from "../signature/sign.ts";
import { type PreparedSecrets, prepareSecrets, secretProblem } from "../signature/source.ts";
import type { Verification } from "../signature/verification/settings.ts";
import type { Caller } from "./caller.ts";
import { newId } from "./ids.ts";
import type { PublishedKeys } from "./published-keys.ts";
import { type Receipt, type Receiver, receiptOf } from "./receive.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import type { WebhookLoader } from "./webhook-loader.ts";
import { noSuchWebhook, RECEIVE_PATH } from "./webhook-settings.ts";
import { resolveVerifier } from "./webhook-verification.ts";

/** A captured request, and what to judge it by: a webhook of the caller's, or a source and a secret. */
export interface CapturedRequest {
  readonly subject:
    | { readonly webhookId: string }
    | { readonly source: string; readonly secret: string; readonly verification: Verification | null };
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
  readonly #keys: PublishedKeys;
  readonly #clock: Clock;
  readonly #publicUrl: string | undefined;

  /** `publicUrl` is the origin at which providers reach us, where it is known. */
  constructor(options: {
    loader: WebhookLoader<ReceivingWebhook>;
    receiver: Receiver;
    keys: PublishedKeys;
    clock: Clock;
    publicUrl: string | undefined;
  }) {
    this.#loader = options.loader;
    this.#receiver = options.receiver;
    this.#keys = options.keys;
    this.#clock = options.clock;
    this.#publicUrl = options.publicUrl;
  }

  /** The verdict on a captured request. An invalid signature is an answer, not an error. */
  async verify(caller: Caller, captured: CapturedRequest): Promise<SignatureVerdict> {
    const nowMs = captured.atMs ?? this.#clock.now();
    const secrets = await this.#secrets(caller, captured.subject, nowMs);
    const { source } = secrets;
    const headers = new Map(Object.entries(captured.headers).map(([name, value]) => [name.toLowerCase(), value]));
    const request = {
      header: (name: string) => headers.get(name),
      body: captured.body,
      method: captured.method,
      url: captured.url ?? ("webhookId" in captured.subject ? this.#urlOf(captured.subject.webhookId) : undefined),
    };
    const account = { organizationId: caller.organizationId, webhookId: undefined };
    const verdict = await this.#keys.judge({ source, secrets, request, nowMs, account });
    const { type, id } = identify(source, request, verdict.scheme);
    const valid = verdict.valid && verdict.verified;
    const reason = valid ? null : verdict.valid ? NOTHING_VERIFIED : verdict.reason;
    return { valid, scheme: verdict.scheme, reason, eventType: type, eventId: id };
  }

  async #secrets(caller: Caller, subject: CapturedRequest["subject"], nowMs: number): Promise<PreparedSecrets> {
    if ("webhookId" in subject) return (await this.#webhook(caller, subject.webhookId)).keysAt(nowMs);
    const source = resolveVerifier(subject.source, subject.verification);
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
    const secret = webhook.currentSecret ?? "";
    if (secret === "" && canSign(webhook.source) && secretProblem(webhook.source, secret) !== null) {
      throw new AppError("CONFLICT", "the webhook has no usable secret; rotate it");
    }
    const type = test.eventType ?? webhook.record.events.find((pattern) => !pattern.includes("*")) ?? "test";
    const eventId = `test_${newId().replaceAll("-", "")}`;
    const named = { type, eventId, nowMs: this.#clock.now() };
    const payload = withSample(test.payload, samplePayload(webhook.source, named));
    const body = Buffer.from(JSON.stringify(payload));
    const path = RECEIVE_PATH + webhook.record.id;
    const url = this.#urlOf(webhook.record.id);
    const signed = signOrExplain(webhook.source, secret, { ...named, body, url, target: path });
    const request = signed ?? { headers: new Map(), body, url, target: path };
    const headers = new Map([["content-type", "application/json"], ...request.headers]);
    const received = await this.#receiver.receive({
      webhookId: webhook.record.id,
      request: { ...request, header: (name) => headers.get(name), method: "POST" },
      headers: [...headers],
      contentType: "application/json",
      synthetic: signed ? true : "unsigned",
      remote: null,
    });
    return receiptOf(received);
  }

  /** The URL that providers know a webhook by, if it is known. */
  #urlOf(webhookId: string): string | undefined {
    return this.#publicUrl && this.#publicUrl + RECEIVE_PATH + webhookId.toLowerCase();
  }

  async #webhook(caller: Caller, id: string): Promise<ReceivingWebhook> {
    const webhook = await this.#loader.refresh(id.toLowerCase());
    if (webhook?.record.organizationId !== caller.organizationId) throw noSuchWebhook();
    return webhook;
  }
}

const NOTHING_VERIFIED = "nothing is verified: every request is taken, and its event marked unverified";

function signOrExplain(source: CompiledSource, secret: string, input: SignInput): SignedRequest | undefined {
  try {
    return sign(source, secret, input);
  } catch (error) {
    if (error instanceof SigningError) throw new AppError("CONFLICT", `no test event: ${error.message}`);
    throw error;
  }
}

/** The payload to send: the sample's type and id stand in an object that has none, any other JSON value goes as it is. */
function withSample(payload: unknown, sample: unknown): unknown {
  const note = { test: true, message: "A test event from Alumia Webhooks" };
  if (payload === undefined) return isObject(sample) ? { ...sample, ...note } : sample;
  return isObject(payload) && isObject(sample) ? { ...sample, ...payload } : payload;
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);
