/** Times are written as the protobuf runtime writes them. */
import { create, toJson } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createTimestampWriter } from "../../src/transcode/timestamp-output.ts";

const YEAR_1 = -62_135_596_800n;
const YEAR_9999_END = 253_402_300_799n;

const write = createTimestampWriter();
const time = (seconds: bigint, nanos = 0) => create(TimestampSchema, { seconds, nanos });

test.each<[seconds: bigint, nanos: number, text: string]>([
  [0n, 0, "1970-01-01T00:00:00Z"],
  [86_399n, 999_999_999, "1970-01-01T23:59:59.999999999Z"],
  [86_400n, 1, "1970-01-02T00:00:00.000000001Z"],
  [1_709_210_096n, 120_000_000, "2024-02-29T12:34:56.120Z"],
  [1_709_210_096n, 1_000, "2024-02-29T12:34:56.000001Z"],
  [-1n, 500_000_000, "1969-12-31T23:59:59.500Z"],
  [YEAR_1, 0, "0001-01-01T00:00:00Z"],
  [YEAR_9999_END, 0, "9999-12-31T23:59:59Z"],
])("%d seconds and %d nanoseconds: %s", (seconds, nanos, text) => {
  expect(write(time(seconds, nanos))).toBe(text);
});

test.each([
  [YEAR_1 - 1n, 0],
  [YEAR_9999_END + 1n, 0],
  [0n, -1],
  [0n, 1_000_000_000],
])("%d seconds and %d nanoseconds have no text", (seconds, nanos) => {
  expect(() => write(time(seconds, nanos))).toThrow("cannot encode message");
});

test("any time is written as by the runtime, in whatever order they come", () => {
  const seconds = fc.bigInt({ min: YEAR_1, max: YEAR_9999_END });
  const nanos = fc.oneof(
    fc.nat(999_999_999),
    fc.nat(999_999).map((n) => n * 1_000),
    fc.nat(999).map((n) => n * 1e6),
  );
  fc.assert(
    fc.property(seconds, nanos, (second, nano) => {
      expect(write(time(second, nano))).toBe(toJson(TimestampSchema, time(second, nano)));
    }),
  );
});
