/**
 * Reads the text format that Prometheus scrapes, and accepts nothing that it would not.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */

export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly type: string;
  readonly help: string;
  /** By name: the family's own, and for a histogram those of its buckets, sum and count. */
  readonly series: Map<string, Series[]>;
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const COMMENT = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`);
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/y;
const TYPES = ["counter", "gauge", "histogram", "summary"];
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ["_bucket", "_sum", "_count"],
  summary: ["", "_sum", "_count"],
};

/** The families by name. Throws an Error that quotes the line at fault. */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let current: { name: string; help: string; family?: Family } | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const fail = (what: string) => new Error(`${what}: ${line}`);
    if (line === "") continue;
    const [, keyword, name = "", rest = ""] = COMMENT.exec(line) ?? [];
    if (keyword === "HELP") {
      if (families.has(name)) throw fail("a second family of this name");
      current = { name, help: rest };
    } else if (keyword === "TYPE") {
      if (current?.name !== name || current.family) throw fail("TYPE does not follow its HELP");
      if (!TYPES.includes(rest)) throw fail("no such type");
      current.family = { type: rest, help: current.help, series: new Map() };
      families.set(name, current.family);
    } else {
      if (line.startsWith("#")) throw fail("neither HELP nor TYPE");
      const [sample, labels] = parseSample(line);
      if (!current?.family || !belongs(sample.name, current.name, current.family.type))
        throw fail("not of this family");
      const key = `${sample.name}${JSON.stringify(Object.entries(labels).toSorted())}`;
      if (seen.has(key)) throw fail("the same series twice");
      seen.add(key);
      const series = current.family.series.get(sample.name) ?? [];
      series.push({ labels, value: sample.value });
      current.family.series.set(sample.name, series);
    }
  }
  for (const [name, family] of families) if (family.type === "histogram") checkHistogram(name, family);
  return families;
}

const belongs = (sample: string, family: string, type: string): boolean =>
  (SUFFIXES[type] ?? [""]).some((suffix) => sample === `${family}${suffix}`);

function parseSample(line: string): [{ name: string; value: number }, Record<string, string>] {
  const [, name, inner = "", text = ""] = SAMPLE.exec(line) ?? [];
  const value = parseValue(text);
  if (name === undefined || value === undefined) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  for (LABEL.lastIndex = 0; LABEL.lastIndex < inner.length; ) {
    const [, label, content = ""] = LABEL.exec(inner) ?? [];
    if (label === undefined || label in labels) throw new Error(`labels that are malformed: ${line}`);
    labels[label] = content.replaceAll(/\\([\\"n])/g, (_all, char) => (char === "n" ? "\n" : char));
  }
  return [{ name, value }, labels];
}

function parseValue(text: string): number | undefined {
  if (/^[+-]?inf$/i.test(text)) return text.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  if (/^nan$/i.test(text)) return Number.NaN;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

/** Buckets count up to +Inf, which is the count. */
function checkHistogram(name: string, { series }: Family): void {
  const without = ({ le: _, ...labels }: Readonly<Record<string, string>>) => JSON.stringify(labels);
  const buckets = Map.groupBy(series.get(`${name}_bucket`) ?? [], ({ labels }) => without(labels));
  for (const count of series.get(`${name}_count`) ?? []) {
    const own = buckets.get(without(count.labels)) ?? [];
    const bounds = own.map(({ labels }) => parseValue(labels.le ?? ""));
    const rising = own.every(({ value }, at) => value >= (own[at - 1]?.value ?? 0));
    const sorted = bounds.every((bound, at) => bound !== undefined && bound > (bounds[at - 1] ?? -1));
    const ends = bounds.at(-1) === Number.POSITIVE_INFINITY && own.at(-1)?.value === count.value;
    if (!rising || !sorted || !ends) throw new Error(`buckets of ${name} that do not add up`);
  }
}

/** The figures of one scrape. */
export class Scrape {
  readonly text: string;
  readonly families: ReadonlyMap<string, Family>;

  constructor(text: string) {
    this.text = text;
    this.families = parseExposition(text);
  }

  /** The value of a series; 0 where there is none yet. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const found = this.#series(name).find((series) => sameLabels(series.labels, labels));
    return found?.value ?? 0;
  }

  has(name: string): boolean {
    return this.#series(name).length > 0;
  }

  /** Values of a label of a family, sorted. */
  labelValues(name: string, label: string): string[] {
    return [...new Set(this.#series(name).map(({ labels }) => labels[label] ?? ""))].toSorted();
  }

  /** How many series there are in all. */
  get size(): number {
    return [...this.families.values()].flatMap(({ series }) => [...series.values()].flat()).length;
  }

  #series(name: string): readonly Series[] {
    const family = this.families.get(name) ?? this.families.get(name.replace(/_(bucket|sum|count)$/, ""));
    return family?.series.get(name) ?? [];
  }
}

function sameLabels(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}

export async function scrape(url: string | undefined): Promise<Scrape> {
  const response = await fetch(url ?? "");
  const type = response.headers.get("content-type");
  if (response.status !== 200 || type !== "text/plain; version=0.0.4; charset=utf-8") {
    throw new Error(`HTTP ${response.status}, ${type}`);
  }
  return new Scrape(await response.text());
}
