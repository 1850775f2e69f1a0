import { expect, test } from "vitest";
import { parseExposition, Scrape } from "./exposition.ts";

const HEAD = "# HELP a What a is\n# TYPE a gauge\n";
const HISTOGRAM = "# HELP h H\n# TYPE h histogram\n";

test("reads families, labels and values", () => {
  const scrape = new Scrape(`${HEAD}a{b="c\\"\\\\\\n",d=""} 1.5e3\na 2\n\n# HELP n N\n# TYPE n counter\nn NaN\n`);
  expect(scrape.value("a", { b: 'c"\\\n', d: "" })).toBe(1_500);
  expect(scrape.value("a")).toBe(2);
  expect(scrape.value("n")).toBeNaN();
  expect(scrape.size).toBe(3);
});

test.each([
  ["a line that does not end", "# HELP a A\n# TYPE a gauge\na 1"],
  ["a sample without its family", "a 1\n"],
  ["a sample of another family", `${HEAD}b 1\n`],
  ["a suffix that the type does not have", `${HEAD}a_count 1\n`],
  ["the same series twice", `${HEAD}a{b="1",c="2"} 1\na{c="2",b="1"} 1\n`],
  ["the same family twice", `${HEAD}a 1\n${HEAD}a 1\n`],
  ["a TYPE without HELP", "# TYPE a gauge\na 1\n"],
  ["a TYPE that there is not", "# HELP a A\n# TYPE a meter\na 1\n"],
  ["a comment", `${HEAD}# a 1\n`],
  ["a label without quotes", `${HEAD}a{b=1} 1\n`],
  ["a label twice", `${HEAD}a{b="1",b="2"} 1\n`],
  ["an escape that there is not", `${HEAD}a{b="\\t"} 1\n`],
  ["a value that is none", `${HEAD}a one\n`],
  ["a value in hexadecimal", `${HEAD}a 0x1\n`],
  ["buckets that fall", `${HISTOGRAM}h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`],
  [
    "buckets out of order",
    `${HISTOGRAM}h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`,
  ],
  ["buckets without an end", `${HISTOGRAM}h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n`],
  ["a count that is not the last bucket", `${HISTOGRAM}h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n`],
])("refuses %s", (_what, text) => {
  expect(() => parseExposition(text)).toThrow();
});
