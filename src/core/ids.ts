import { randomUUIDv7 } from "node:crypto";

/** A new id: UUIDv7 (RFC 9562 §5.7), so that ids sort by time and say in which partition a row lies. */
export const newId = (): string => randomUUIDv7();

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export const isUuid = (text: string): boolean => UUID.test(text);
