/** The worst input of each pattern and loop, a mebibyte of it: linear work takes milliseconds, quadratic minutes. */
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { normalizeAllowlist } from "../../src/core/allowlist.ts";
import { buildForwardHeaders, hopsOf } from "../../src/core/forward-headers.ts";
import { redactHeaders } from "../../src/core/redact-headers.ts";
import { parseSchedule } from "../../src/core/schedule.ts";
import { parseRetryAfter } from "../../src/delivery/retry-after.ts";
import { encodeGrpcMessage, withoutNeedlessEscapes } from "../../src/grpc/message.ts";
import { canonicalAddress } from "../../src/security/address-ranges.ts";
import { checkDestinationUrl } from "../../src/security/url-policy.ts";
import { identify } from "../../src/signature/event-identity.ts";
import { parseKey } from "../../src/signature/key.ts";
import { findSource, prepareSecrets } from "../../src/signature/source.ts";
import { verify } from "../../src/signature/verify.ts";
import { requestTimeoutMs, splitTarget } from "../../src/transcode/http-exchange.ts";
import { createJsonReaders } from "../../src/transcode/json-input.ts";
import { parseJsonBody } from "../../src/transcode/json-text.ts";
import { createQueryReader } from "../../src/transcode/query.ts";
import { createRouteTable } from "../../src/transcode/route-table.ts";
import { parseTemplate } from "../../src/transcode/template.ts";
import { closedPolicy } from "../security/destination-policies.ts";
import { inbound, T, WHSEC } from "../signature/inbound-request.ts";
import { messageType, registry } from "../transcode/library.ts";

const CHARS = 1 << 20;
/** Far more than linear work takes on the slowest machine, far less than quadratic work on the fastest. */
const MS_MAX = 15_000;

const times = (text: string): string => text.repeat(Math.ceil(CHARS / text.length));

const everything = messageType("Everything");
const readMessage = createJsonReaders(registry).message(everything);
const readQuery = createQueryReader(everything, () => false, registry);
const table = createRouteTable(
  ["/a/{x}", "/{x}/{y}/{z=**}", "/{x=**}:verb"].map((path) => ({
    name: path,
    method: "GET",
    template: parseTemplate(path),
    target: path,
  })),
);
const json = (text: string) => parseJsonBody(Buffer.from(text), 100);
const field = (name: string, value: unknown) => readMessage({ [name]: value });
const receive = (source: string, headers: Record<string, string>, body = "{}") => {
  const compiled = findSource(source);
  const request = inbound(headers, body);
  verify(compiled, prepareSecrets(compiled, [WHSEC]), request, T * 1_000);
  identify(compiled, request);
};
const form = { "content-type": "application/x-www-form-urlencoded", "x-hub-signature-256": "sha256=a" };

const CASES: readonly [name: string, run: () => unknown][] = [
  ["JSON of backslashes", () => json(`"${times("\\\\")}"`)],
  ["JSON of quotes", () => json(`[${times('"",')}""]`)],
  ["JSON of escaped quotes", () => json(`["${times('\\"')}"]`)],
  ["JSON of surrogates", () => json(`"${times("\\ud83d\\ude00")}"`)],
  ["JSON of open quotes", () => json(times('"'))],
  ["JSON of brackets", () => json(times("["))],
  ["JSON of keys", () => json(`{${Array.from({ length: 100_000 }, (_, n) => `"${n}":0`).join()}}`)],
  ["JSON of one key", () => json(`{"${times("a")}":0,"${times("a")}":0}`)],
  ["JSON of digits", () => json(times("1"))],
  ["JSON of a long duplicate far down", () => json(`{"a":${times("[],").slice(0, -1)}`)],
  ["an int32 of digits", () => field("int32Value", times("1"))],
  ["an int64 of digits", () => field("int64Value", times("9"))],
  ["a double of digits", () => field("doubleValue", `${times("1")}e${times("1")}x`)],
  ["base64 with a stray end", () => field("bytesValue", `${times("A")}=%`)],
  ["base64 of padding", () => field("bytesValue", times("="))],
  ["an enum of text", () => field("enumValue", times("COLOR_"))],
  ["a time of digits", () => field("timestampValue", `${times("1")}Z`)],
  ["a duration of digits", () => field("durationValue", `${times("1")}s`)],
  ["a field mask of commas", () => field("fieldMaskValue", times("a,"))],
  ["a field mask of capitals", () => field("fieldMaskValue", times("aA"))],
  ["a query of separators", () => readQuery(create(everything) as never, times("&"))],
  ["a query of escapes", () => readQuery(create(everything) as never, `stringValue=${times("%41+")}`)],
  ["a query name of dots", () => readQuery(create(everything) as never, `${times(".")}=1`)],
  ["a path of slashes", () => table.match("GET", times("/"))],
  ["a path of segments", () => table.match("GET", times("/a"))],
  ["a path of colons", () => table.match("GET", `/a/${times(":")}`)],
  ["a path of escaped colons", () => table.match("GET", `/a/${times(":%3A")}`)],
  ["a path of almost verbs", () => table.match("GET", `/a/${times(":ver%62")}`)],
  ["a target that is nearly a URL", () => splitTarget(`http://${times("a")}`)],
  ["a template of literals", () => parseTemplate(`/${times("a%41")}`)],
  ["a template of braces", () => parseTemplate(`/${times("{a}/")}`)],
  ["a time-out of digits", () => requestTimeoutMs({ "x-server-timeout": `${times("1")}.` }, 1)],
  ["a grpc-message of escapes", () => withoutNeedlessEscapes(encodeGrpcMessage(times("%é")))],
  ["a schedule of commas", () => parseSchedule(times(","))],
  ["a schedule of digits", () => parseSchedule(times("1"))],
  ["a Retry-After of digits", () => parseRetryAfter(times("1"), 0)],
  ["a Retry-After of blanks", () => parseRetryAfter(`1${times(" ")}1`, 0)],
  ["a Retry-After that is nearly a date", () => parseRetryAfter(`Sun, 06 Nov ${times("1")}`, 0)],
  ["an Alumia-Hops of blanks", () => hopsOf([["alumia-hops", `1${times(" ")}1`]])],
  [
    "headers that Connection names",
    () => {
      const context = { webhookId: "w", attemptNumber: 1, timestampSeconds: 1, signature: null, version: "1" };
      buildForwardHeaders(
        { id: "e", type: "t", headers: [["connection", times("a,")], ...Array(1_000).fill(["original-a", "b"])] },
        context,
      );
    },
  ],
  ["an address with a zone", () => canonicalAddress(`fe80::1${times("%")}`)],
  ["a URL of blanks", () => checkDestinationUrl(times(" "), closedPolicy)],
  ["a URL of userinfo", () => checkDestinationUrl(`http://${"a@".repeat(1_000)}`, closedPolicy)],
  ["a URL of labels", () => checkDestinationUrl(`http://${"a-".repeat(1_000)}.com`, closedPolicy)],
  ["CIDR ranges", () => loadConfig({ TRUSTED_PROXY_CIDRS: times("10.0.0.0/8,") })],
  ["a key of digits", () => loadConfig({ MASTER_KEY: times("A") })],
  ["an origin", () => loadConfig({ PUBLIC_URL: `http://${times("a.")}` })],
  ["an allowlist", () => normalizeAllowlist(Array.from({ length: 100_000 }, (_, n) => ` ${n} `))],
  ["an allowlist of blanks", () => normalizeAllowlist([`a${times(" ")}a`])],
  ["headers of NULs", () => redactHeaders([["a", times("\0")]])],
  ["a secret of hexadecimal digits", () => parseKey({ decode: "hex" }, `${times("a")}g`)],
  ["a secret of padding", () => parseKey({ decode: "base64" }, times("="))],
  ["a signature header of commas", () => receive("stripe", { "stripe-signature": times(",") })],
  ["a signature header of items", () => receive("stripe", { "stripe-signature": times("v1=a,") })],
  ["a signature header of blanks", () => receive("standardwebhooks", { "webhook-signature": times(" ") })],
  ["a signature header of words", () => receive("standardwebhooks", { "webhook-signature": times("v1,") })],
  [
    "a timestamp of digits",
    () => receive("standardwebhooks", { "webhook-signature": "v1,A", "webhook-timestamp": times("1") }),
  ],
  ["a body of brackets", () => receive("github", form, times("["))],
  ["a form of separators", () => receive("github", form, times("&"))],
  ["a form of nearly the field", () => receive("github", form, times("&payloa"))],
  ["a form of the field", () => receive("github", form, times("&payload="))],
  ["a form of an escaped field", () => receive("github", form, times("%70%61%79%6c%6f%61"))],
  ["a form of escapes", () => receive("github", form, `payload=${times("%7B")}`)],
  ["a content type of blanks", () => receive("github", { ...form, "content-type": times(" ") })],
  ["a type of text", () => receive("github", { ...form, "x-github-event": times("é") })],
];

test.each(CASES)("%s", (_name, run) => {
  const startMs = performance.now();
  try {
    run();
  } catch {
    // Refusing is an answer too; the other tests say which.
  }
  expect(performance.now() - startMs).toBeLessThan(MS_MAX);
});
