/** A webhook as the receive path and the delivery worker hold it: its source compiled, its keys open. */
import type { KeyObject } from "node:crypto";
import type { SecretBox } from "../security/secret-box.ts";
import type { CompiledSource } from "../signature/compile.ts";
import { prepareSigningKey } from "../signature/ed25519.ts";
import { prepareForwardSecrets } from "../signature/outbound.ts";
import { ACTIVE_SECRETS_MAX, findSource, type PreparedSecrets, prepareSecrets } from "../signature/source.ts";
import { findSourceWith } from "../signature/verification/source.ts";
import type { SealedSecret, WebhookRecord } from "../store/sql/lookup.ts";
import { DeliveryRules } from "./delivery-settings.ts";
import { originOf } from "./destination-auth.ts";
import {
  credentialsFor,
  type DestinationCredentials,
  isCredential,
  openCredentials,
} from "./destination-credentials.ts";
import { verificationOf } from "./webhook-verification.ts";

type OnUnusable = (webhookId: string, error: unknown) => void;

interface OpenSecret {
  readonly text: string;
  readonly expiresAtMs: number;
}

export class ReceivingWebhook {
  readonly record: WebhookRecord;
  readonly source: CompiledSource;
  readonly rules: DeliveryRules;
  readonly #receive: readonly OpenSecret[];
  readonly #forward: readonly OpenSecret[];
  readonly #ed25519: readonly OpenSecret[];
  readonly #box: SecretBox;
  #credentials: DestinationCredentials | null | undefined;
  #prepared: PreparedSecrets;
  /** When the next grace ends and the keys must be prepared anew. */
  #preparedUntilMs = 0;
  #forwardKeys: readonly KeyObject[] = [];
  #forwardUntilMs = 0;

  /** Secrets that do not open, or whose hash does not match, are left out and reported; so are settings of no use. */
  constructor(record: WebhookRecord, box: SecretBox, onUnusable: OnUnusable) {
    this.record = record;
    const source = compile(record, onUnusable);
    this.source = source ?? findSource("custom");
    // Without a source of its own no secret counts, so that nothing is accepted.
    this.#receive = source ? openAll(record, "receive", box, onUnusable) : [];
    this.#forward = openAll(record, "forward", box, onUnusable);
    this.#ed25519 = openAll(record, "ed25519", box, onUnusable);
    this.rules = new DeliveryRules(record.delivery);
    this.#box = box;
    this.#prepared = prepareSecrets(this.source, []);
  }

  /** The keys that inbound signatures may match at `nowMs`. */
  keys(nowMs: number): PreparedSecrets {
    if (nowMs >= this.#preparedUntilMs) {
      const ends = this.#receive.map((secret) => secret.expiresAtMs).filter((endMs) => endMs > nowMs);
      this.#prepared = this.keysAt(nowMs);
      this.#preparedUntilMs = Math.min(Number.POSITIVE_INFINITY, ...ends);
    }
    return this.#prepared;
  }

  /** The keys that may match at some other time than now, such as that of a capture. */
  keysAt(atMs: number): PreparedSecrets {
    const texts = this.#receive.filter((secret) => secret.expiresAtMs > atMs).map((secret) => secret.text);
    return prepareSecrets(this.source, texts.slice(0, ACTIVE_SECRETS_MAX));
  }

  /** The texts of the secrets that are active at `nowMs`, the one in force first. */
  secretTexts(nowMs: number): string[] {
    const texts = this.#receive.filter((secret) => secret.expiresAtMs > nowMs).map((secret) => secret.text);
    return texts.slice(0, ACTIVE_SECRETS_MAX);
  }

  /** The secret in force, with which test events are signed; undefined if it cannot be used. */
  get currentSecret(): string | undefined {
    return this.#receive.find((secret) => secret.expiresAtMs === Number.POSITIVE_INFINITY)?.text;
  }

  /** The keys that sign deliveries at `nowMs`, symmetric ones first. Throws RangeError if there is no such. */
  forwardKeys(nowMs: number): readonly KeyObject[] {
    if (nowMs >= this.#forwardUntilMs) {
      const activeOf = (secrets: readonly OpenSecret[]) =>
        secrets.filter((secret) => secret.expiresAtMs > nowMs).slice(0, ACTIVE_SECRETS_MAX);
      const [symmetric, asymmetric] = [activeOf(this.#forward), activeOf(this.#ed25519)];
      this.#forwardKeys = [
        ...prepareForwardSecrets(symmetric.map((secret) => secret.text)),
        ...asymmetric.map((secret) => prepareSigningKey(secret.text)),
      ];
      const ends = [...symmetric, ...asymmetric].map((secret) => secret.expiresAtMs);
      this.#forwardUntilMs = Math.min(Number.POSITIVE_INFINITY, ...ends);
    }
    return this.#forwardKeys;
  }

  /**
   * What the destination is shown beside the signature; null: nothing. Throws where that cannot be opened, or was given
   * for another place than the url's: then nothing may be sent.
   */
  get credentials(): DestinationCredentials | null {
    if (this.#credentials === undefined) this.#credentials = this.#openCredentials();
    return this.#credentials;
  }

  #openCredentials(): DestinationCredentials | null {
    const { secrets, url } = this.record;
    if (url === null || !secrets.some(({ purpose }) => isCredential(purpose))) return null;
    const kept = openCredentials(secrets, this.#box, this.record, (_id, error) => {
      throw error;
    });
    return credentialsFor(kept, originOf(url));
  }

  /** Whether events are delivered now, rather than held. */
  get flowing(): boolean {
    return this.record.status === "active" && !this.record.forwardingStopped;
  }
}

/** Undefined if the stored settings are of no use to this version. */
function compile(record: WebhookRecord, onUnusable: OnUnusable): CompiledSource | undefined {
  try {
    return findSourceWith(record.source, verificationOf(record));
  } catch (error) {
    onUnusable(record.id, error);
    return undefined;
  }
}

function openAll(
  record: WebhookRecord,
  purpose: SealedSecret["purpose"],
  box: SecretBox,
  onUnusable: OnUnusable,
): OpenSecret[] {
  return record.secrets.flatMap((secret) => {
    if (secret.purpose !== purpose) return [];
    try {
      const text = box.open(secret.sealed, { organizationId: record.organizationId, webhookId: record.id, purpose });
      if (!box.hashMatches(text, secret.hash)) throw new Error("a stored secret does not match its hash");
      return [{ text, expiresAtMs: secret.expiresAtMs ?? Number.POSITIVE_INFINITY }];
    } catch (error) {
      onUnusable(record.id, error);
      return [];
    }
  });
}
