/** What a webhook's delivery settings come to. */
import { expect, test } from "vitest";
import { DeliveryRules, resolveDelivery } from "../../src/core/delivery-settings.ts";

const STANDING = { timeoutMs: 500, rateLimit: { count: 5, per: "second", burst: 2 } };

test.each<[string, object | null, Parameters<typeof resolveDelivery>[1], object | null]>([
  ["nothing asked", STANDING, {}, STANDING],
  ["a first setting", null, { delivery: { maxAttempts: 3 } }, { maxAttempts: 3 }],
  ["the whole", STANDING, { delivery: { maxAttempts: 3 } }, { maxAttempts: 3 }],
  ["null", STANDING, { delivery: null }, null],
  [
    "one of several",
    STANDING,
    { delivery: { timeoutMs: 900 }, deliveryFields: ["timeoutMs"] },
    { ...STANDING, timeoutMs: 900 },
  ],
  ["one that ends", STANDING, { delivery: {}, deliveryFields: ["timeoutMs"] }, { rateLimit: STANDING.rateLimit }],
  [
    "a value of several parts",
    STANDING,
    { delivery: { rateLimit: { count: 9, per: "minute" } }, deliveryFields: ["rateLimit", "rateLimit"] },
    { timeoutMs: 500, rateLimit: { count: 9, per: "minute" } },
  ],
  ["the last one ends", { timeoutMs: 500 }, { delivery: null, deliveryFields: ["timeoutMs"] }, null],
])("%s", (_what, current, patch, expected) => {
  expect(resolveDelivery(current, patch)).toEqual(expected);
});

test.each<[string, object, readonly number[]]>([
  ["the server's", {}, [0, 10, 20]],
  ["its own", { schedule: ["0s", "2m"] }, [0, 120_000]],
  ["cut", { maxAttempts: 2 }, [0, 10]],
  ["one", { maxAttempts: 1 }, [0]],
  ["drawn out", { maxAttempts: 5 }, [0, 10, 20, 20, 20]],
  ["its own, drawn out", { schedule: ["0s", "1s"], maxAttempts: 4 }, [0, 1_000, 1_000, 1_000]],
])("schedule: %s", (_what, settings, expected) => {
  expect(new DeliveryRules(settings).schedule([0, 10, 20])).toEqual(expected);
});

const keyOf = (orderingKey: object, body: string, headers: Readonly<Record<string, string>> = {}) =>
  new DeliveryRules({ orderingKey }).orderingKey({
    header: (name) => headers[name],
    body: Buffer.from(body),
    method: "POST",
    url: undefined,
  });

test.each<[string, object, string, string | null]>([
  ["a header in any case", { header: "X-Customer" }, "", "c1"],
  ["a header that is not there", { header: "x-other" }, "", null],
  ["text", { jsonPath: "data.id" }, '{"data":{"id":"a"}}', "a"],
  ["text, with a root", { jsonPath: "$.data.id" }, '{"data":{"id":"a"}}', "a"],
  ["a number", { jsonPath: "id" }, '{"id":42}', "42"],
  ["false", { jsonPath: "id" }, '{"id":false}', "false"],
  ["a member of a list", { jsonPath: "items.1.id" }, '{"items":[{"id":1},{"id":2}]}', "2"],
  ["an object", { jsonPath: "id" }, '{"id":{}}', null],
  ["null", { jsonPath: "id" }, '{"id":null}', null],
  ["an empty text", { jsonPath: "id" }, '{"id":""}', null],
  ["no JSON", { jsonPath: "id" }, "id=1", null],
])("ordering key: %s", (_what, orderingKey, body, expected) => {
  expect(keyOf(orderingKey, body, { "x-customer": "c1" })).toBe(expected);
});
