/** Settings, addresses, times and sealed secrets: only documented errors, whatever is in them. */
import { isIP } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ConfigError, loadConfig } from "../../src/config.ts";
import { buildForwardHeaders, hopsOf } from "../../src/core/forward-headers.ts";
import { parseSchedule, SCHEDULE_DELAY_MS_MAX } from "../../src/core/schedule.ts";
import { parseRetryAfter } from "../../src/delivery/retry-after.ts";
import { RETRY_AFTER_MS_MAX } from "../../src/delivery/retry-policy.ts";
import { addressRangesOf, canonicalAddress, isReachableAddress } from "../../src/security/address-ranges.ts";
import { createSecretBox, SecretBoxError } from "../../src/security/secret-box.ts";
import { checkDestinationUrl, hostnameOf } from "../../src/security/url-policy.ts";
import { closedPolicy } from "../security/destination-policies.ts";
import { runs } from "./runs.ts";

const words = (text: string) => fc.constantFrom(...text.split(" "));
const textOf = (arbitrary: fc.Arbitrary<string>, maxLength = 12) =>
  fc.array(arbitrary, { maxLength }).map((list) => list.join(""));

const VARIABLES = words(
  "HOST PORT PUBLIC_URL DATABASE_URL DATA_DIR MASTER_KEY MASTER_KEYS_OLD BOOTSTRAP_API_KEY MAX_PAYLOAD_BYTES ALLOWED_PRIVATE_CIDRS TRUSTED_PROXY_CIDRS DELIVERY_SCHEDULE DELIVERY_TIMEOUT_MS DELIVERY_LEASE_MS CIRCUIT_OPEN_MS DEDUPE_WINDOW_SECONDS SHUTDOWN_GRACE_MS LOG_LEVEL",
);

test("any environment starts the service, or is refused in one line that names a variable of it", () => {
  const piece = words(
    "0 1 9 10 -1 1e3 0x10 , / : . 10.0.0.0/8 ::1 ::/0 /33 %eth0 0s 5m 1d https:// http://a postgres:// alm_live_ info = + \u0000 \n é",
  );
  const value = fc.oneof(textOf(piece), fc.string({ unit: "binary" }));
  const property = fc.property(fc.dictionary(VARIABLES, value, { maxKeys: 3 }), (env) => {
    try {
      loadConfig(env);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      const { message } = error as ConfigError;
      const named = /^[A-Z_]+/.exec(message)?.[0] ?? "";
      expect([...Object.keys(env), "MASTER_KEY"]).toContain(named);
      expect(message).not.toMatch(/[\r\n]/);
    }
  });
  fc.assert(property, runs(3_000));
});

test("any schedule is a list of delays in bounds, or refused", () => {
  const property = fc.property(textOf(words("0 1 7 8 99 s ms m h d , ,  . - e")), (text) => {
    try {
      for (const delay of parseSchedule(text)) expect(delay >= 0 && delay <= SCHEDULE_DELAY_MS_MAX).toBe(true);
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError);
    }
  });
  fc.assert(property, runs(3_000));
});

test("any Retry-After is a wait in bounds or none; dates that are written are read", () => {
  const piece = words("Sun, Monday, Tue 06 Nov Feb 1994 08:49:37 GMT 99 -1 1e3 0 31 - 60 24:00:00");
  const value = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 8 }).map((list) => list.join(" ")),
  );
  const inBounds = (text: string, nowMs: number) => {
    const waitMs = parseRetryAfter(text, nowMs);
    expect(waitMs === null || (waitMs >= 0 && waitMs <= RETRY_AFTER_MS_MAX)).toBe(true);
  };
  fc.assert(fc.property(value, fc.nat(4e12), inBounds), runs(3_000));
  const date = fc.date({ min: new Date(0), max: new Date("9999-12-31"), noInvalidDate: true });
  const written = fc.property(date, fc.integer({ min: -100_000, max: 100_000 }), (when, seconds) => {
    const atMs = Math.floor(when.getTime() / 1_000) * 1_000;
    const expected = Math.min(Math.max(seconds * 1_000, 0), RETRY_AFTER_MS_MAX);
    expect(parseRetryAfter(new Date(atMs).toUTCString(), atMs - seconds * 1_000)).toBe(expected);
  });
  fc.assert(written, runs(2_000));
});

test("any URL is judged without an error; one that passes is itself in another reading, and no private address", () => {
  const piece = words(
    "http:// https:// HTTP:/ / // \\ @ : # ? . .. 127.0.0.1 0x7f 1 017700000001 2130706433 [::1] [::ffff:7f00:1] localhost example.com a. xn--a %31 １２７ 。 é :80 :0 :65536 user user:pw@ \t \u00ad \u200b",
  );
  const nothing = addressRangesOf([]);
  const property = fc.property(
    fc.oneof(
      textOf(piece),
      textOf(piece).map((rest) => `https://${rest}`),
      fc.webUrl(),
    ),
    (text) => {
      const check = checkDestinationUrl(text, closedPolicy);
      if (!check.ok) return;
      const again = checkDestinationUrl(check.url.href, closedPolicy);
      expect(again.ok && again.url.href).toBe(check.url.href);
      const host = hostnameOf(check.url);
      if (isIP(host) !== 0) expect(isReachableAddress(host, nothing)).toBe(true);
    },
  );
  fc.assert(property, runs(10_000));
});

test("every spelling of an address is judged alike, and what is none is refused", () => {
  const nothing = addressRangesOf([]);
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const prefixed = fc.tuple(
    fc.constantFrom(
      "",
      "0000",
      "00000000000000000000ffff",
      "0064ff9b0000000000000000",
      "2002",
      "20010000",
      "fe80",
      "fc00",
    ),
    bytes,
  );
  const property = fc.property(prefixed, ([prefix, rest]) => {
    const hex = (prefix + Buffer.from(rest).toString("hex")).slice(0, 32);
    const groups = hex.match(/.{4}/g) ?? [];
    const long = groups.join(":");
    const dotted = `${groups.slice(0, 6).join(":")}:${Buffer.from(hex, "hex").subarray(12).join(".")}`;
    const short = new URL(`http://[${long}]/`).hostname.slice(1, -1);
    const answers = [long, dotted, short, long.toUpperCase()].map((text) => isReachableAddress(text, nothing));
    expect(new Set(answers).size).toBe(1);
    expect(new Set([long, dotted, short].map(canonicalAddress)).size).toBe(1);
  });
  fc.assert(property, runs(3_000));
  const none = fc.property(fc.string(), (text) => {
    if (isIP(text) !== 0) return;
    expect([isReachableAddress(text, addressRangesOf(["0.0.0.0/0", "::/0"])), canonicalAddress(text)]).toEqual([
      false,
      null,
    ]);
  });
  fc.assert(none, runs(2_000));
});

test("any headers are forwarded in a form that HTTP can carry", () => {
  const name = fc.oneof(
    fc.string({ unit: "binary" }),
    words("Connection Alumia-Hops webhook-id original-webhook-id X-Forwarded-For X-A"),
  );
  const header = fc.tuple(name, fc.string({ unit: "binary" }));
  const context = { webhookId: "w", attemptNumber: 1, timestampSeconds: 1, signature: null, version: "1" };
  const property = fc.property(fc.array(header), fc.string({ unit: "binary" }), (headers, type) => {
    const sent = buildForwardHeaders({ id: "e", type, headers }, context);
    for (const [sentName, value] of sent) new Headers([[sentName, value]]);
    expect(hopsOf(headers)).toBeGreaterThanOrEqual(0);
    expect(sent.filter(([each]) => each === "webhook-id")).toEqual([["webhook-id", "e"]]);
  });
  fc.assert(property, runs(2_000));
});

test("a sealed secret opens as it was, and nothing else opens", () => {
  const box = createSecretBox({ master: Buffer.alloc(32, 1), old: [Buffer.alloc(32, 2)] });
  const context = { organizationId: "o", webhookId: "w", purpose: "receive" } as const;
  const refused = (bytes: Buffer) => {
    try {
      box.open(bytes, context);
    } catch (error) {
      return error instanceof SecretBoxError;
    }
    return false;
  };
  const property = fc.property(
    fc.string({ unit: "grapheme" }),
    fc.nat(),
    fc.integer({ min: 1, max: 255 }),
    (text, place, mask) => {
      const sealed = box.seal(text, context);
      expect(box.open(sealed, context)).toBe(text);
      const changed = Buffer.from(sealed);
      const at = place % sealed.length;
      changed.writeUInt8(changed.readUInt8(at) ^ mask, at);
      expect([
        refused(changed),
        refused(sealed.subarray(0, at)),
        refused(Buffer.concat([sealed, Buffer.of(mask)])),
      ]).toEqual([true, true, true]);
    },
  );
  fc.assert(property, runs(1_000));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => refused(Buffer.from(bytes))),
    runs(1_000),
  );
});
