/** Handshakes: what needs more than a webhook's secret to be answered, and what is refused. */
import type { Reason } from "../errors.ts";
import type { CaptureSecret, ConfirmUrl, Handshake } from "../signature/handshake.ts";
import { boundedValue, type HandshakeReply, isRefused, replyTo } from "../signature/handshakes.ts";
import { bodyField, type InboundRequest } from "../signature/request.ts";
import { secretProblem } from "../signature/source.ts";
import { isRefusal, type Refusal } from "../signature/verdict.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import { RefusedReceive } from "./refused-receive.ts";
import type { SecretCaptures } from "./secret-captures.ts";
import type { UrlConfirmations } from "./url-confirmations.ts";

/** Longest URL that is fetched for a handshake, characters. */
const URL_CHARS_MAX = 2_048;

/** What kind of refusal each failed check is. */
const REASONS: Readonly<Partial<Record<Refusal["check"], Reason>>> = {
  missing_field: "BAD_REQUEST",
  malformed_field: "BAD_REQUEST",
  signature: "FORBIDDEN",
};

export class Handshakes {
  readonly #captures: SecretCaptures;
  readonly #confirmations: UrlConfirmations;

  constructor({ captures, confirmations }: { captures: SecretCaptures; confirmations: UrlConfirmations }) {
    this.#captures = captures;
    this.#confirmations = confirmations;
  }

  /**
   * What is answered to a handshake of a webhook that was read just now; a signed one has been verified. Rejects with a
   * RefusedReceive that says why there is no answer, or with SERVICE_UNAVAILABLE where the provider should try again.
   */
  async answer(
    webhook: ReceivingWebhook,
    handshake: Handshake,
    request: InboundRequest,
    from: { readonly nowMs: number; readonly remoteAddress: string },
  ): Promise<HandshakeReply> {
    switch (handshake.kind) {
      case "capture-secret":
        return await this.#capture(webhook, handshake, request, from.remoteAddress);
      case "confirm-url":
        return await this.#confirm(webhook, handshake, request);
      default: {
        const reply = replyTo(handshake, webhook.source, request, webhook.secretTexts(from.nowMs));
        if (isRefusal(reply)) throw refused(webhook, reply);
        return reply;
      }
    }
  }

  async #capture(
    webhook: ReceivingWebhook,
    handshake: CaptureSecret,
    request: InboundRequest,
    remoteAddress: string,
  ): Promise<HandshakeReply> {
    const { secret, echoHeader } = handshake;
    const text = boundedValue(secret, handshake, request);
    if (isRefused(text)) throw refused(webhook, text);
    const problem = secretProblem(webhook.source, text);
    if (problem !== null) throw refused(webhook, { check: "malformed_field", reason: `${secret.name} ${problem}` });
    const isKept = webhook.record.capturing && (await this.#captures.keep(webhook, text, remoteAddress));
    if (!isKept) {
      const advice = "open a window for it with POST /api/v1/webhooks/{id}/capture, and have it sent again";
      const reason = `${secret.name} brings a secret that nobody waits for: ${advice}`;
      throw new RefusedReceive("FORBIDDEN", "capture", reason, webhook.record.id);
    }
    const headers: Record<string, string> = echoHeader === undefined ? {} : { [echoHeader]: text };
    return {
      status: 200,
      headers,
      body: "",
      summary: `the secret in ${secret.name} was taken, and is to be confirmed`,
    };
  }

  async #confirm(webhook: ReceivingWebhook, handshake: ConfirmUrl, request: InboundRequest): Promise<HandshakeReply> {
    const { field, host } = handshake;
    const value = bodyField(request, field.split("."));
    const url = typeof value === "string" && value.length <= URL_CHARS_MAX ? URL.parse(value) : null;
    const isVendors =
      url !== null &&
      url.protocol === "https:" &&
      `${url.port}${url.username}${url.password}` === "" &&
      host.test(url.hostname);
    if (!isVendors) {
      throw refused(webhook, {
        check: "malformed_field",
        reason: `${field} is no https URL of the provider's own hosts`,
      });
    }
    if (!(await this.#confirmations.fetch(url.href))) {
      const reason = `${field} could not be fetched; try again shortly`;
      throw new RefusedReceive("SERVICE_UNAVAILABLE", "confirmation", reason, webhook.record.id);
    }
    return { status: 200, headers: {}, body: "", summary: `${field} was fetched, which confirms the subscription` };
  }
}

function refused({ record }: ReceivingWebhook, { check, reason }: Refusal): RefusedReceive {
  return new RefusedReceive(REASONS[check] ?? "UNAUTHORIZED", check, reason, record.id);
}
