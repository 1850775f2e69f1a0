/** What a patch means against what stands. */
import { expect, test } from "vitest";
import {
  noSuchWebhook,
  resolveName,
  resolveSource,
  resolveStatus,
  resolveUrl,
  type UrlCheck,
} from "../../src/core/webhook-settings.ts";
import { AppError } from "../../src/errors.ts";
import type { WebhookStatus } from "../../src/store/entities/webhook.ts";

const ID = "0198f3a1-0000-7000-8000-00000000abcd";

/** The value, or `field rule` of the refusal. */
function outcome(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof AppError) || error.reason !== "BAD_REQUEST") throw error;
    return error.violations.map(({ field, rule }) => `${field} ${rule}`).join();
  }
}

const statuses: [
  current: WebhookStatus,
  patch: { status?: string | null; enabled?: boolean | null },
  expected: string,
][] = [
  ["active", {}, "active"],
  ["paused", {}, "paused"],
  ["disabled", {}, "disabled"],
  ["active", { status: "paused" }, "paused"],
  ["paused", { status: "disabled" }, "disabled"],
  ["disabled", { status: "active" }, "active"],
  ["active", { enabled: false }, "paused"],
  ["paused", { enabled: false }, "paused"],
  ["disabled", { enabled: false }, "disabled"],
  ["active", { enabled: true }, "active"],
  ["paused", { enabled: true }, "active"],
  ["disabled", { enabled: true }, "active"],
  ["paused", { status: "active", enabled: true }, "active"],
  ["active", { status: "paused", enabled: false }, "paused"],
  ["active", { status: "disabled", enabled: false }, "disabled"],
  ["active", { status: "active", enabled: false }, "enabled contradiction"],
  ["active", { status: "paused", enabled: true }, "enabled contradiction"],
  ["active", { status: "disabled", enabled: true }, "enabled contradiction"],
  ["active", { status: null }, "status required"],
  ["active", { enabled: null }, "enabled required"],
  ["active", { status: "paused", enabled: null }, "enabled required"],
];

test.each(statuses)("%s patched with %j: %s", (current, patch, expected) => {
  expect(outcome(() => resolveStatus(current, patch))).toBe(expected);
});

const accept: UrlCheck = () => ({ ok: true });
const refuse: UrlCheck = () => ({ ok: false, rule: "private_address", message: "reaches a private address" });

const urls: [url: string | null, check: UrlCheck, expected: string | null][] = [
  [null, refuse, null],
  ["", refuse, null],
  ["  \t ", refuse, null],
  ["https://example.com/hook", accept, "https://example.com/hook"],
  ["  https://example.com/hook ", accept, "https://example.com/hook"],
  ["http://10.0.0.1/", refuse, "url private_address"],
  ["no url", refuse, "url private_address"],
  // Its own receive path, whatever the host, is recognised before the check.
  [`https://hooks.example.com/api/v1/webhooks/receive/${ID}`, refuse, null],
  [`http://127.0.0.1:8080/api/v1/webhooks/receive/${ID}?a=1#b`, refuse, null],
  [`http://[::1]/api/v1/webhooks/receive/${ID}`, refuse, null],
  [`http://127.0.0.1/api/v1/webhooks/receive/${ID.toUpperCase()}`, refuse, null],
  // Another webhook's is a destination like any other.
  ["http://127.0.0.1/api/v1/webhooks/receive/0198f3a1-0000-7000-8000-00000000abce", refuse, "url private_address"],
  [`http://127.0.0.1/api/v1/webhooks/receive/${ID}/more`, refuse, "url private_address"],
  [`http://127.0.0.1/prefix/api/v1/webhooks/receive/${ID}`, refuse, "url private_address"],
  [`/api/v1/webhooks/receive/${ID}`, refuse, "url private_address"],
];

test.each(urls)("url %j", (url, check, expected) => {
  expect(outcome(() => resolveUrl(url, ID, check))).toBe(expected);
});

test("the check is given the trimmed url, and its message is passed on", () => {
  const seen: string[] = [];
  const check: UrlCheck = (url) => {
    seen.push(url);
    return { ok: false, rule: "scheme", message: "must be http or https" };
  };
  expect(() => resolveUrl(" ftp://a/ ", ID, check)).toThrow("url: must be http or https");
  expect(seen).toEqual(["ftp://a/"]);
});

test.each([
  ["a", "a"],
  ["  a b ", "a b"],
  ["", "name required"],
  [" \n ", "name required"],
  [null, "name required"],
])("name %j: %s", (name, expected) => {
  expect(outcome(() => resolveName(name))).toBe(expected);
});

test.each([
  ["stripe", "stripe"],
  [" Stripe ", "stripe"],
  ["", "custom"],
  ["  ", "custom"],
  [null, "custom"],
  [undefined, "custom"],
])("source %j: %s", (source, expected) => {
  expect(resolveSource(source)).toBe(expected);
});

test("a webhook that is not there", () => {
  expect(noSuchWebhook()).toMatchObject({ reason: "NOT_FOUND", message: "no such webhook", violations: [] });
});
