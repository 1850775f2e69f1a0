/** Bytes that may be held at the same time. Who asks for more than there is, waits alone until all are given back. */
export class ByteBudget {
  readonly #max: number;
  #held = 0;
  readonly #waiting: { readonly bytes: number; readonly resolve: () => void }[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  get held(): number {
    return this.#held;
  }

  /** Takes the bytes if that needs no waiting. */
  tryTake(bytes: number): boolean {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) return false;
    this.#held += bytes;
    return true;
  }

  /** Resolves once the bytes are taken; first come, first served. */
  async take(bytes: number): Promise<void> {
    if (!this.tryTake(bytes)) await new Promise<void>((resolve) => this.#waiting.push({ bytes, resolve }));
  }

  give(bytes: number): void {
    this.#held -= bytes;
    for (let first = this.#waiting[0]; first && this.#fits(first.bytes); first = this.#waiting[0]) {
      this.#held += first.bytes;
      this.#waiting.shift();
      first.resolve();
    }
  }

  #fits(bytes: number): boolean {
    return this.#held === 0 || this.#held + bytes <= this.#max;
  }
}
