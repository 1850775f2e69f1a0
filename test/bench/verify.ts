/**
 * Verifying one request of 1 KiB, for every source that we can sign for, beside node:crypto's bare HMAC of the same
 * bytes: in turns, so that a busy machine is as busy for both.
 */
import { createHmac, createSecretKey } from "node:crypto";
import type { CompiledSource } from "../../src/signature/compile.ts";
import { isNeededKey } from "../../src/signature/needed-key.ts";
import { PRESETS } from "../../src/signature/presets.ts";
import type { InboundRequest } from "../../src/signature/request.ts";
import { canSign, samplePayload, sign } from "../../src/signature/sign.ts";
import { generateSecretFor, prepareSecrets, SOURCES } from "../../src/signature/source.ts";
import { verify } from "../../src/signature/verify.ts";
import { report } from "./report.ts";

const BODY_BYTES = 1_024;
const CALLS = 500;
const ROUNDS = 40;
const WARM_UP_ROUNDS = 10;
/** What is promised for HMAC: microseconds, and times the bare HMAC. */
const MICROS_MAX = 15;
const RATIO_MAX = 2.5;
const URL_AT = "https://hooks.example.com/api/v1/webhooks/receive/01900000-0000-7000-8000-000000000000";
const LIVEKIT_SECRET = "APIkey:lk_secret_at_least_32_characters_long";

export async function verifyBench(): Promise<void> {
  const rows = measured(SOURCES.filter(canSign).map(subject)).sort((one, other) => one.micros - other.micros);
  const head = ["", "kind", "µs", "bare HMAC µs", "times"];
  const cells = rows.map(({ name, kind, micros, bareMicros }) => {
    const over = kind === "hmac" && (micros > MICROS_MAX || micros / bareMicros > RATIO_MAX) ? " over" : "";
    return [name, kind, micros.toFixed(1), bareMicros.toFixed(1), `${(micros / bareMicros).toFixed(2)}x${over}`];
  });
  report("verifying a request of 1 KiB", head, cells);
  const hmac = rows.filter(({ kind }) => kind === "hmac");
  const slowest = Math.max(...hmac.map(({ micros }) => micros));
  const ratio = Math.max(...hmac.map(({ micros, bareMicros }) => micros / bareMicros));
  const bounds = `bounds ${MICROS_MAX} µs, ${RATIO_MAX}x`;
  process.stdout.write(`  HMAC: at most ${slowest.toFixed(1)} µs, ${ratio.toFixed(2)}x the bare HMAC (${bounds})\n`);
}

interface Subject {
  readonly name: string;
  readonly kind: string;
  readonly call: () => void;
  readonly bare: () => void;
}

/** Microseconds of a call of each, the least over the rounds, because noise only adds. */
function measured(subjects: readonly Subject[]) {
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    for (const { call, bare } of subjects) [call, bare].forEach(time);
  }
  const rows = subjects.map(({ name, kind }) => ({
    name,
    kind,
    micros: Number.POSITIVE_INFINITY,
    bareMicros: Number.POSITIVE_INFINITY,
  }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, { call, bare }] of subjects.entries()) {
      const row = rows[index] as (typeof rows)[number];
      row.micros = Math.min(row.micros, time(call));
      row.bareMicros = Math.min(row.bareMicros, time(bare));
    }
  }
  return rows;
}

/** One request as a receive makes it: new each time, so that nothing parsed is kept. */
function subject(source: CompiledSource): Subject {
  const secret = generateSecretFor(source) ?? LIVEKIT_SECRET;
  const nowMs = Date.now();
  const asked = { type: "order.paid", eventId: "evt_1", nowMs, url: URL_AT, target: new URL(URL_AT).pathname };
  const signed = sign(source, secret, { ...asked, body: padded(samplePayload(source, asked)) });
  if (signed === undefined) throw new Error(`${source.name} cannot be signed`);
  const { body, url, target } = signed;
  const headers: Record<string, string | undefined> = {
    "content-type": "application/json",
    ...Object.fromEntries(signed.headers),
  };
  const prepared = prepareSecrets(source, [secret]);
  const call = () => {
    const request: InboundRequest = { header: (name) => headers[name], body, method: "POST", url, target };
    const outcome = verify(source, prepared, request, nowMs);
    if (isNeededKey(outcome) || !outcome.valid) throw new Error(`${source.name} refuses what it signed`);
  };
  const scheme = PRESETS[source.name]?.schemes.find((candidate) => candidate.body !== "form");
  const algorithm = scheme?.kind === "hmac" ? (scheme.alg ?? "sha256") : "sha256";
  const key = createSecretKey(Buffer.alloc(32, 1));
  const bare = () => void createHmac(algorithm, key).update(body).digest();
  return { name: source.name, kind: scheme?.kind ?? "", call, bare };
}

/** A payload of about BODY_BYTES; a list is filled up by its first member. */
function padded(sample: unknown): Buffer {
  const fill = (value: unknown) => ({ ...(value as object), padding: "" });
  const payload = Array.isArray(sample) ? [fill(sample[0]), ...sample.slice(1)] : fill(sample);
  const missing = BODY_BYTES - Buffer.byteLength(JSON.stringify(payload));
  return Buffer.from(
    JSON.stringify(payload).replace('"padding":""', `"padding":"${"x".repeat(Math.max(missing, 0))}"`),
  );
}

function time(call: () => void): number {
  const startMs = performance.now();
  for (let count = 0; count < CALLS; count++) call();
  return ((performance.now() - startMs) * 1_000) / CALLS;
}
