/**
 * Figures of this process for Prometheus. Every label has a closed list of values: no sender, tenant or destination can
 * add to them. https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { MadeAttempt, ReceivedEvent, ReceiveOutcome } from "./records.ts";

/** Batches: of events, of look-ups of the events that others repeat, of attempts. */
export type BatchName = "receive" | "repeats" | "complete";

/** What a figure is: one number, or one for each value of its label. */
export type Reading = number | Readonly<Record<string, number>>;

/** A figure that is looked at in each scrape. */
export interface Figure {
  readonly name: string;
  readonly help: string;
  readonly label?: string;
  /** Whether it only ever grows; a gauge if not. */
  readonly grows?: boolean;
  readonly read: () => Reading | Promise<Reading>;
}

/** Upper bounds of the buckets: of what a sender waits for and of what may wait for hours, seconds; of rows. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const LONG_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600, 3_600];
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256];

const ACKNOWLEDGED: readonly ReceiveOutcome[] = ["recorded", "filtered", "duplicate"];

export class Metrics {
  readonly #registry = new Registry();
  readonly #readMsMax: number;
  readonly #receives: Counter<"outcome">;
  readonly #receiveStages: Histogram<"stage">;
  readonly #batchRows: Histogram<"batch">;
  readonly #batchSeconds: Histogram<"batch">;
  readonly #batchFailures: Counter<"batch">;
  readonly #attempts: Counter<"outcome" | "error_code">;
  readonly #deliveryStages: Histogram<"stage">;
  #asked: Promise<string> | undefined;

  /** A figure that takes longer than `metricsReadMsMax` milliseconds to be read is left out of a scrape. */
  constructor({ metricsReadMsMax }: { readonly metricsReadMsMax: number }) {
    this.#readMsMax = metricsReadMsMax;
    this.#receives = this.#counter("receives", "Receives by outcome, those refused by the code of their error", [
      "outcome",
    ]);
    this.#receiveStages = this.#histogram("receive_stage_seconds", "Stages of acknowledged receives", "stage", SECONDS);
    this.#batchRows = this.#histogram("batch_rows", "Rows of a batch that the store has taken", "batch", ROWS);
    this.#batchSeconds = this.#histogram("batch_seconds", "How long the store took for a batch", "batch", SECONDS);
    this.#batchFailures = this.#counter("batch_failures", "Batches that the store has not taken", ["batch"]);
    this.#attempts = this.#counter("attempts", "Attempts by outcome and error code", ["outcome", "error_code"]);
    this.#deliveryStages = this.#histogram("delivery_stage_seconds", "Stages of attempts", "stage", LONG_SECONDS);
    for (const outcome of ACKNOWLEDGED) this.#receives.inc({ outcome }, 0);
    this.#watchProcess();
  }

  received({ outcome, stages }: ReceivedEvent): void {
    this.#receives.inc({ outcome });
    observeStages(this.#receiveStages, stages);
  }

  greeted(): void {
    this.#receives.inc({ outcome: "handshake" });
  }

  refused(code: string): void {
    this.#receives.inc({ outcome: code.toLowerCase() });
  }

  attempted({ outcome, attempt, stages }: MadeAttempt): void {
    this.#attempts.inc({ outcome, error_code: attempt.errorCode ?? "none" });
    const { dnsMs, connectMs, tlsMs, firstByteMs } = attempt.times;
    observeStages(this.#deliveryStages, stages);
    observeStages(this.#deliveryStages, { dns: dnsMs, connect: connectMs, tls: tlsMs, first_byte: firstByteMs });
  }

  batch(batch: BatchName, rows: number, ms: number): void {
    this.#batchRows.observe({ batch }, rows);
    this.#batchSeconds.observe({ batch }, ms / 1_000);
  }

  batchFailed(batch: BatchName): void {
    this.#batchFailures.inc({ batch });
  }

  /** Shows a figure from now on. If it cannot be read, or not in time, the scrape goes without it. */
  watch({ name, help, label, grows = false, read }: Figure): void {
    const Kind = grows ? Counter : Gauge;
    const shown: Counter | Gauge = new Kind({
      name: `alumia_${name}${grows ? "_total" : ""}`,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [this.#registry],
      collect: async () => {
        const reading = await within(this.#readMsMax, read).catch(() => ({}));
        shown.reset();
        if (typeof reading === "number") shown.inc(reading);
        else if (label === undefined) shown.remove();
        else for (const [value, figure] of Object.entries(reading)) shown.inc({ [label]: value }, figure);
      },
    });
  }

  /** All figures as text. Those who ask while others are being answered get the same answer. */
  text(): Promise<string> {
    this.#asked ??= this.#registry.metrics().finally(() => {
      this.#asked = undefined;
    });
    return this.#asked;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Processor, memory, garbage collection and event loop, most by the names that dashboards for Node know. */
  #watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
    const read = () => {
      const { active, idle } = performance.eventLoopUtilization();
      return { busy: active / 1_000, idle: idle / 1_000 };
    };
    this.watch({ name: "event_loop_seconds", help: "Time of the event loop", label: "state", grows: true, read });
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]) {
    return new Counter<Label>({ name: `alumia_${name}_total`, help, labelNames, registers: [this.#registry] });
  }

  #histogram<Label extends string>(name: string, help: string, label: Label, buckets: number[]) {
    const registers = [this.#registry];
    return new Histogram<Label>({ name: `alumia_${name}`, help, labelNames: [label], buckets, registers });
  }
}

function observeStages(
  histogram: Histogram<"stage">,
  stages: Readonly<Record<string, number | null | undefined>>,
): void {
  for (const [stage, ms] of Object.entries(stages)) if (ms != null) histogram.observe({ stage }, ms / 1_000);
}

/** What `read` says. Rejects if it takes longer than `msMax`. */
async function within(msMax: number, read: Figure["read"]): Promise<Reading> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error("the figure could not be read in time")), msMax);
  });
  try {
    return await Promise.race([read(), late]);
  } finally {
    clearTimeout(timer);
  }
}
