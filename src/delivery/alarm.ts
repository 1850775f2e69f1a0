/** A wake-up that is not lost: register with `next` before looking for work, then `wait` for a ring since. */
export class Alarm {
  #ring: () => void = () => {};
  #next: Promise<void> = this.#renew();

  #renew(): Promise<void> {
    return new Promise((resolve) => {
      this.#ring = resolve;
    });
  }

  /** Resolves at the next ring. */
  next(): Promise<void> {
    return this.#next;
  }

  ring(): void {
    this.#ring();
    this.#next = this.#renew();
  }

  /** Resolves when `rang` does, or after `restMs` milliseconds. */
  async wait(rang: Promise<void>, restMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const rest = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, restMs);
    });
    await Promise.race([rang, rest]);
    clearTimeout(timer);
  }
}
