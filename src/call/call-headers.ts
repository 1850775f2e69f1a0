/** A call's headers as services and interceptors see them: built only where more than a value is asked for. */
import type { IncomingHttpHeaders } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";

/** Behaves as Headers do. Pseudo headers of HTTP/2 are none of them. */
export class CallHeaders implements Headers {
  readonly #raw: IncomingHttpHeaders;
  #built: Headers | undefined;

  constructor(raw: IncomingHttpHeaders = {}) {
    this.#raw = raw;
  }

  /** All of them, if anybody has asked for them or written one. */
  get built(): Headers | undefined {
    return this.#built;
  }

  get(name: string): string | null {
    const value = this.#built === undefined ? this.#raw[name] : undefined;
    return typeof value === "string" && !name.startsWith(":") ? value : this.#all.get(name);
  }

  get #all(): Headers {
    this.#built ??= build(this.#raw);
    return this.#built;
  }

  append(name: string, value: string): void {
    this.#all.append(name, value);
  }
  delete(name: string): void {
    this.#all.delete(name);
  }
  has(name: string): boolean {
    return this.#all.has(name);
  }
  set(name: string, value: string): void {
    this.#all.set(name, value);
  }
  getSetCookie(): string[] {
    return this.#all.getSetCookie();
  }
  forEach(callback: (value: string, name: string, parent: Headers) => void): void {
    for (const [name, value] of this.#all) callback(value, name, this);
  }
  keys() {
    return this.#all.keys();
  }
  values() {
    return this.#all.values();
  }
  entries() {
    return this.#all.entries();
  }
  [Symbol.iterator]() {
    return this.#all[Symbol.iterator]();
  }
}

function build(raw: IncomingHttpHeaders): Headers {
  const result = new Headers();
  try {
    for (const name in raw) {
      const value = raw[name];
      if (value === undefined || name.startsWith(":")) continue;
      for (const each of Array.isArray(value) ? value : [value]) result.append(name, each);
    }
  } catch {
    throw new ConnectError("a request header is malformed", Code.InvalidArgument);
  }
  return result;
}
