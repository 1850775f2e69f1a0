import { expect, test } from "vitest";
import { newId } from "../../src/core/ids.ts";
import {
  attemptSpanIdOf,
  formatTraceparent,
  isSampled,
  parseTraceparent,
  receiveSpanIdOf,
  traceIdOf,
} from "../../src/observe/trace-ids.ts";

const EVENT_ID = "01890a5d-ac96-774b-bcce-b302099a8057";

test("the ids of a trace follow from those of event and delivery", () => {
  expect(traceIdOf(EVENT_ID)).toBe("01890a5dac96774bbcceb302099a8057");
  expect(receiveSpanIdOf(EVENT_ID)).toBe("bcceb302099a8057");
  expect(attemptSpanIdOf(EVENT_ID, 1)).toBe("bcceb302099a8058");
  expect(attemptSpanIdOf("01890a5d-ac96-774b-8000-00000000ffff", 1)).toBe("8000000000010000");
  expect(attemptSpanIdOf("01890a5d-ac96-774b-bfff-ffffffffffff", 2)).toBe("c000000000000001");
});

test.each([0, 0.1, 0.5, 1])("a share of %d is kept, and the same events for every smaller share", (ratio) => {
  const traces = Array.from({ length: 4_000 }, () => traceIdOf(newId()));
  const kept = traces.filter((id) => isSampled(id, ratio));
  // Five standard deviations.
  const slack = 5 * Math.sqrt((ratio * (1 - ratio)) / traces.length);
  expect(Math.abs(kept.length / traces.length - ratio)).toBeLessThanOrEqual(slack);
  expect(kept.filter((id) => !isSampled(id, Math.min(1, ratio * 1.5)))).toEqual([]);
});

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

test.each([
  [`00-${TRACE}-${SPAN}-01`, true],
  [`00-${TRACE}-${SPAN}-00`, false],
  [`00-${TRACE}-${SPAN}-03`, true],
  [`cc-${TRACE}-${SPAN}-01-what-a-later-version-adds`, true],
])("traceparent %s", (value, sampled) => {
  expect(parseTraceparent(value)).toEqual({ traceId: TRACE, spanId: SPAN, sampled });
});

test.each([
  "",
  "00",
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${"0".repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${"0".repeat(16)}-01`,
  `ff-${TRACE}-${SPAN}-01`,
  `00-${TRACE}${TRACE}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}-1`,
  ` 00-${TRACE}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}-01-what-version-0-does-not-have`,
])("traceparent %j is malformed", (value) => {
  expect(parseTraceparent(value)).toBeUndefined();
});

test("what is written is read", () => {
  for (const sampled of [true, false]) {
    const span = { traceId: TRACE, spanId: SPAN, sampled };
    expect(parseTraceparent(formatTraceparent(span))).toEqual(span);
  }
});
