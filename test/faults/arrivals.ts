/** The destination of the rounds: does with each event what its fate says, and keeps a book of what arrived. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { meetFate } from "./fates.ts";

export interface Arrival {
  readonly eventId: string;
  /** What `alumia-attempt` said. */
  readonly attempt: number;
  readonly digest: string;
  /** The status that was sent; undefined where none was. */
  answered: number | undefined;
}

export interface ArrivalBook {
  readonly url: string;
  /** In the order of their coming. */
  of(webhookId: string): readonly Arrival[];
  forget(webhookId: string): void;
  close(): Promise<void>;
}

export const digestOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

export async function startArrivalBook(): Promise<ArrivalBook> {
  const book = new Map<string, Arrival[]>();

  function note(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const { headers } = request;
    const attempt = Number(headers["alumia-attempt"]);
    const webhookId = String(headers["alumia-webhook-id"]);
    const arrival: Arrival = {
      eventId: String(headers["webhook-id"]),
      attempt,
      digest: digestOf(body),
      answered: undefined,
    };
    const arrivals = book.get(webhookId) ?? [];
    arrivals.push(arrival);
    book.set(webhookId, arrivals);
    response.once("finish", () => {
      arrival.answered = response.statusCode;
    });
    meetFate(body, attempt, response);
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => note(request, response, Buffer.concat(chunks)));
    request.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    of: (webhookId) => book.get(webhookId) ?? [],
    forget: (webhookId) => void book.delete(webhookId),
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
