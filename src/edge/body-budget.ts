/**
 * The memory that request bodies take, whatever their protocol: one budget for all of them, and no more than a share
 * of it for one client. Bytes count as they come, not as they are declared, so that a promise alone takes no room.
 */
import { AppError } from "../errors.ts";
import type { BodyMeter } from "../transcode/body-reader.ts";
import type { BodyWatch, Watchdog } from "./watchdog.ts";

export interface BodyBudgetLimits {
  /** Bodies, compressed and expanded, of all requests that have not been answered, bytes. */
  readonly bodyBytesInMemoryMax: number;
  /** Share of it that the requests of one client address may have. */
  readonly bodyClientShare: number;
}

/** What one request holds. */
export interface BodyHold {
  /**
   * Counts bytes before they are kept. Throws SERVICE_UNAVAILABLE if there is no room, TOO_MANY_REQUESTS if the client
   * has its share already; what was taken before stays taken.
   */
  take(bytes: number): void;
  /** Gives everything back. May be called more than once. */
  release(): void;
}

export class BodyBudget {
  readonly #bytesMax: number;
  readonly #clientBytesMax: number;
  readonly #clients = new Map<string, number>();
  #bytes = 0;

  constructor({ bodyBytesInMemoryMax, bodyClientShare }: BodyBudgetLimits) {
    this.#bytesMax = bodyBytesInMemoryMax;
    this.#clientBytesMax = bodyBytesInMemoryMax * bodyClientShare;
  }

  /** Bytes held now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A hold for one request of this client; it is released when the request has been answered, or is gone. */
  open(client: string): BodyHold {
    let held = 0;
    return {
      take: (bytes) => {
        this.#add(client, bytes);
        held += bytes;
      },
      release: () => {
        if (held > 0) this.#give(client, held);
        held = 0;
      },
    };
  }

  #add(client: string, bytes: number): void {
    const clientBytes = (this.#clients.get(client) ?? 0) + bytes;
    if (this.#bytes + bytes > this.#bytesMax) {
      throw new AppError("SERVICE_UNAVAILABLE", "the server is full; try again shortly");
    }
    if (clientBytes > this.#clientBytesMax) {
      throw new AppError("TOO_MANY_REQUESTS", "too many bytes at once from one address; try again shortly");
    }
    this.#clients.set(client, clientBytes);
    this.#bytes += bytes;
  }

  #give(client: string, bytes: number): void {
    const left = (this.#clients.get(client) ?? 0) - bytes;
    if (left > 0) this.#clients.set(client, left);
    else this.#clients.delete(client);
    this.#bytes -= bytes;
  }
}

/** The meter of one request's body: its bytes under the budget, its time under the watchdog. */
export function createMeter(hold: BodyHold, watchdog: Watchdog): BodyMeter & BodyHold {
  let watch: BodyWatch | undefined;
  return {
    begin: (onLate) => {
      watch = watchdog.watchBody(onLate);
    },
    take: (bytes) => {
      watch?.read(bytes);
      hold.take(bytes);
    },
    complete: () => watch?.done(),
    release: () => {
      watch?.done();
      hold.release();
    },
  };
}
