/** An OpenTelemetry collector as far as it takes traces: OTLP over HTTP, as JSON. https://opentelemetry.io/docs/specs/otlp/ */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** 2 is a server's, 3 a client's. */
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** 2 is an error. */
  readonly statusCode: number;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** Attributes of who made it. */
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface Collector {
  readonly url: string;
  readonly spans: readonly CollectedSpan[];
  /** All that has come, as text. */
  readonly text: string;
  readonly headers: readonly IncomingHttpHeaders[];
  /** The status of later answers; 200 at first. */
  answer(status: number): void;
  /** Resolves to the spans of a trace as soon as there are so many of them. */
  trace(traceId: string, count: number): Promise<readonly CollectedSpan[]>;
  close(): Promise<void>;
}

export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const texts: string[] = [];
  const headers: IncomingHttpHeaders[] = [];
  const waiting = new Set<() => void>();
  let status = 200;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const wanted = request.method === "POST" && request.url === "/v1/traces";
      const isJson = request.headers["content-type"] === "application/json";
      if (!wanted || !isJson) return response.writeHead(wanted ? 415 : 404).end();
      headers.push(request.headers);
      if (status === 200) {
        const text = Buffer.concat(chunks).toString();
        texts.push(text);
        spans.push(...decode(JSON.parse(text)));
      }
      response.writeHead(status, { "content-type": "application/json" }).end("{}");
      for (const look of waiting) look();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    get text() {
      return texts.join("\n");
    },
    headers,
    answer: (next) => {
      status = next;
    },
    trace: (traceId, count) =>
      new Promise((resolve) => {
        const look = () => {
          const found = spans.filter((span) => span.traceId === traceId);
          if (found.length < count) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface OtlpAttribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly OtlpAttribute[];
  readonly status: { readonly code: number };
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
}

function decode({ resourceSpans }: OtlpRequest): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => {
        if (!/^[0-9a-f]{32}$/.test(span.traceId) || !/^[0-9a-f]{16}$/.test(span.spanId)) throw new Error(span.traceId);
        return {
          traceId: span.traceId,
          spanId: span.spanId,
          parentSpanId: span.parentSpanId || undefined,
          name: span.name,
          kind: span.kind,
          startMs: Number(BigInt(span.startTimeUnixNano) / 1_000n) / 1_000,
          endMs: Number(BigInt(span.endTimeUnixNano) / 1_000n) / 1_000,
          attributes: valuesOf(span.attributes),
          statusCode: span.status.code,
          links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
          resource: valuesOf(resource.attributes),
        };
      }),
    ),
  );
}

const valuesOf = (attributes: readonly OtlpAttribute[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
