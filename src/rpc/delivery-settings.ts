/** A webhook's delivery settings: message ↔ the plain form that is validated and stored, which is its JSON. */
import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  type DeliverySettings as DeliverySettingsMessage,
  DeliverySettingsSchema,
} from "../../gen/alumia/webhooks/v1/delivery_settings_pb.ts";
import type { DeliverySettings } from "../core/delivery-settings.ts";
import { maskPaths } from "./mask-paths.ts";

/** Settings that are not set are absent. */
export function deliverySettingsOf(message: DeliverySettingsMessage): DeliverySettings {
  return toJson(DeliverySettingsSchema, message) as DeliverySettings;
}

/** What most webhooks have: one message for all of them, which nobody changes. */
const PLAIN = Object.freeze(create(DeliverySettingsSchema));

/** Every setting, set or not; what a later version has stored besides is left out. */
export function deliverySettingsMessage(settings: object | null | undefined): DeliverySettingsMessage {
  if (!settings) return PLAIN;
  return fromJson(DeliverySettingsSchema, settings as JsonValue, { ignoreUnknownFields: true });
}

const PATHS = maskPaths(DeliverySettingsSchema);

/** The setting that a mask path below `delivery` leads to or into; undefined if there is none. */
export function deliveryField(path: string): string | undefined {
  return PATHS.get(path)?.split(".", 1)[0];
}
