/** How a webhook's deliveries are made: its own settings, in the form of the API's JSON, and what they come to. */
import { createHash } from "node:crypto";
import { invalidField } from "../errors.ts";
import { type CompiledPlace, compilePlace } from "../signature/place.ts";
import { bodyField, type InboundRequest } from "../signature/request.ts";
import { checkHeaderName, checkPath } from "../signature/verification/places.ts";
import { VerificationError } from "../signature/verification/settings.ts";
import { parseDeliverySchedule } from "./schedule.ts";

/** Absent: as the server's settings say. */
export interface DeliverySettings {
  readonly timeoutMs?: number;
  readonly maxConcurrency?: number;
  readonly rateLimit?: { readonly count: number; readonly per: string; readonly burst?: number };
  readonly schedule?: readonly string[];
  readonly maxAttempts?: number;
  readonly orderingKey?: { readonly header?: string; readonly jsonPath?: string; readonly policy?: string };
}

export interface DeliveryPatch {
  readonly delivery?: DeliverySettings | null;
  /** The only settings of `delivery` that are meant; all if absent. */
  readonly deliveryFields?: readonly string[];
}

/** The settings as a patch leaves them; null where nothing is set. BAD_REQUEST where one makes no sense. */
export function resolveDelivery(current: object | null, { delivery, deliveryFields }: DeliveryPatch): object | null {
  if (delivery === undefined) return current;
  const given = Object.entries(delivery ?? {});
  const kept = deliveryFields === undefined ? [] : Object.entries(current ?? {});
  const settings: DeliverySettings = Object.fromEntries([
    ...kept.filter(([name]) => !deliveryFields?.includes(name)),
    ...given.filter(([name]) => deliveryFields?.includes(name) ?? true),
  ]);
  checkSettings(settings);
  return Object.keys(settings).length === 0 ? null : settings;
}

function checkSettings({ schedule, orderingKey }: DeliverySettings): void {
  try {
    if (schedule) parseDeliverySchedule(schedule.join(","));
  } catch (error) {
    throw invalidField("delivery.schedule", "schedule", (error as Error).message);
  }
  try {
    const { header, jsonPath } = orderingKey ?? {};
    if (header !== undefined) checkHeaderName("header", header);
    if (jsonPath !== undefined) checkPath("jsonPath", pathOf(jsonPath));
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    throw invalidField(`delivery.orderingKey.${error.field}`, error.rule, error.message);
  }
}

const pathOf = (jsonPath: string): string => jsonPath.replace(/^\$\./, "");

/** What the settings come to. */
export class DeliveryRules {
  readonly timeoutMs: number | undefined;
  /** Whether its deliveries begin only as the queue lets them, by rate, concurrency or order. */
  readonly isMetered: boolean;
  readonly #settings: DeliverySettings;
  readonly #place: CompiledPlace | undefined;

  constructor(settings: object | null) {
    this.#settings = (settings ?? {}) as DeliverySettings;
    const { timeoutMs, maxConcurrency, rateLimit, orderingKey } = this.#settings;
    this.timeoutMs = timeoutMs;
    this.isMetered = maxConcurrency !== undefined || rateLimit !== undefined || orderingKey !== undefined;
    const { header, jsonPath } = orderingKey ?? {};
    if (header !== undefined) this.#place = compilePlace({ from: "header", name: header });
    else if (jsonPath !== undefined) this.#place = compilePlace({ from: "body", name: pathOf(jsonPath) });
  }

  /** Whether a delivery that waits for its retry lets those of its key pass. */
  get skipsFailed(): boolean {
    return this.#settings.orderingKey?.policy === "skip";
  }

  /** The delays before the attempts, milliseconds, where the server's are `schedule`. */
  schedule(schedule: readonly number[]): readonly number[] {
    const { schedule: own, maxAttempts } = this.#settings;
    const delays = own ? parseDeliverySchedule(own.join(",")) : schedule;
    if (maxAttempts === undefined) return delays;
    return Array.from({ length: maxAttempts }, (_, n) => delays[n] ?? delays.at(-1) ?? 0);
  }

  /** What this request's delivery is kept in order by; null: in no order. */
  orderingKey(request: InboundRequest): string | null {
    const place = this.#place;
    if (!place) return null;
    const value = place.from === "header" ? request.header(place.name) : bodyField(request, place.path);
    const isValue = typeof value === "string" ? value !== "" : typeof value === "number" || typeof value === "boolean";
    return isValue ? String(value) : null;
  }

  /** The same as it is stored: 128 bits as hex. */
  orderKey(request: InboundRequest): string | null {
    const key = this.orderingKey(request);
    return key === null ? null : createHash("sha256").update(key).digest("hex").slice(0, 32);
  }
}
