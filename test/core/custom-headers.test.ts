import { describe, expect, test } from "vitest";
import {
  CUSTOM_HEADERS_MAX,
  headerNameProblem,
  headerValueProblem,
  resolveHeaders,
} from "../../src/core/custom-headers.ts";
import { AppError } from "../../src/errors.ts";

const KEPT = "[redacted]";

/** The refusal as `field rule`. */
function refusal(given: Record<string, string>, kept: readonly (readonly [string, string])[] = []): string {
  try {
    resolveHeaders(given, kept);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const [violation] = error.violations;
    return `${violation?.field} ${violation?.rule}`;
  }
  return "taken";
}

describe("names", () => {
  test.each(["x-api-key", "X-Tenant", "authorization", "cookie", "user-agent", "accept", "x_y.z~1", "x".repeat(100)])(
    "%s is taken",
    (name) => expect(headerNameProblem(name)).toBeNull(),
  );

  test.each([
    ...["", "a b", "a:b", "a\r\nb", "ä", "(x)", "a\0", ":authority", "x".repeat(101)],
    ...[
      "Connection",
      "keep-alive",
      "proxy-connection",
      "TE",
      "trailer",
      "Transfer-Encoding",
      "upgrade",
      "http2-settings",
    ],
    ...["proxy-authorization", "proxy-authenticate", "Host", "expect", "accept-encoding", "max-forwards"],
    ...["content-type", "Content-Length", "content-encoding", "content-anything"],
    ...[
      "webhook-id",
      "Webhook-Signature",
      "webhook-x",
      "original-webhook-id",
      "alumia-hops",
      "Alumia-X",
      "traceparent",
    ],
  ])("%j is refused", (name) => expect(headerNameProblem(name)).not.toBeNull());
});

describe("values", () => {
  test.each(["x", "Splunk a1b2", "a\tb", "!~", "x".repeat(4_096)])("%.20j is taken", (value) => {
    expect(headerValueProblem(value)).toBeNull();
  });

  test.each(["", " ", " x", "x ", "a\r\nb: c", "a\nb", "a\0", "ä", "€", "\u007f", "x".repeat(4_097)])(
    "%.20j is refused",
    (value) => expect(headerValueProblem(value)).not.toBeNull(),
  );
});

describe("resolveHeaders", () => {
  test("names are put into lower case, in their order", () => {
    expect(resolveHeaders({ "X-B": "2", "x-a": "1" }, [])).toEqual({
      headers: [
        ["x-b", "2"],
        ["x-a", "1"],
      ],
      usesKept: false,
    });
  });

  test("what is redacted keeps its value, whatever its case; what is not named goes", () => {
    const kept = [
      ["x-a", "secret"],
      ["x-b", "gone"],
    ] as const;
    expect(resolveHeaders({ "X-A": KEPT, "x-c": "new" }, kept)).toEqual({
      headers: [
        ["x-a", "secret"],
        ["x-c", "new"],
      ],
      usesKept: true,
    });
  });

  const many = (count: number, value: string) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, value]));

  test.each<[string, Record<string, string>, string]>([
    ["a redacted value that never was", { "x-a": KEPT }, 'forwarding.headers["x-a"] redacted'],
    ["a name of ours", { "webhook-id": "x" }, 'forwarding.headers["webhook-id"] headers.name'],
    ["a bad value", { "x-a": "a\nb" }, 'forwarding.headers["x-a"] headers.value'],
    ["a name in two cases", { "x-a": "1", "X-A": "2" }, 'forwarding.headers["X-A"] headers.twice'],
    ["too many", many(CUSTOM_HEADERS_MAX + 1, "v"), "forwarding.headers headers.number"],
    ["too large altogether", many(3, "x".repeat(3_000)), "forwarding.headers headers.size"],
    ["as many as there may be", many(CUSTOM_HEADERS_MAX, "v"), "taken"],
    ["none", {}, "taken"],
  ])("%s", (_what, given, expected) => {
    expect(refusal(given)).toBe(expected);
  });

  test("no message repeats a value", () => {
    for (const value of ["hunter2\n", "x".repeat(5_000)]) {
      expect(() => resolveHeaders({ "x-a": value }, [])).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining(value) }),
      );
    }
  });
});
