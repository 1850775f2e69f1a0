/** The place that one delivery has among those that its worker holds; it is left for the waits between quick tries. */
import type { Occupancy, Occupant } from "./occupancy.ts";

export class Place {
  readonly #occupancy: Occupancy;
  readonly #occupant: Occupant;
  readonly #onRoom: () => void;
  #taken = true;
  /** How long the attempt took that was made in this place, milliseconds. */
  attemptMs = Number.POSITIVE_INFINITY;

  /** `onRoom` is told where its end may let others begin that could not. */
  constructor(occupancy: Occupancy, occupant: Occupant, onRoom: () => void) {
    this.#occupancy = occupancy;
    this.#occupant = occupant;
    this.#onRoom = onRoom;
    occupancy.enter(occupant);
  }

  /** May be called twice. */
  leave(): void {
    if (!this.#taken) return;
    this.#taken = false;
    const wasFull = this.#occupancy.isFullFor(this.#occupant);
    this.#occupancy.leave(this.#occupant, this.attemptMs);
    if (wasFull) this.#onRoom();
  }

  /** Whether there is one again. */
  take(): boolean {
    this.#taken = this.#occupancy.admits(this.#occupant);
    this.attemptMs = Number.POSITIVE_INFINITY;
    if (this.#taken) this.#occupancy.enter(this.#occupant);
    return this.#taken;
  }
}
