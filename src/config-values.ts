/** One kind of setting each: text of an environment variable → value, or a ConfigError that names the variable. */
import { BlockList, isIP } from "node:net";
import { resolve } from "node:path";
import { parseDeliverySchedule } from "./core/schedule.ts";
import type { EgressProxy } from "./outbound/dial.ts";
import { hostnameOf, portOf } from "./security/url-policy.ts";

/** A setting that cannot be used. The message names the variable and what it takes, in one line whatever it quotes. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  constructor(message: string) {
    super(message.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (char) => JSON.stringify(char).slice(1, -1)));
  }
}

export function parseInteger(
  name: string,
  value: string | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return fallback;
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < min || number > max) {
    throw new ConfigError(`${name} takes a whole number from ${min} to ${max}, not "${value}"`);
  }
  return number;
}

export function parseOrigin(name: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const url = URL.parse(value);
  const plain = url !== null && /^https?:$/.test(url.protocol) && url.pathname === "/" && !url.search && !url.hash;
  if (!plain || url.username || url.password || url.hostname.includes("*")) {
    throw new ConfigError(`${name} takes an origin such as https://hooks.example.com, without a path, not "${value}"`);
  }
  return url.origin;
}

/** The URL of an HTTP proxy, with a name and a password or without. The message of its refusal repeats neither. */
export function parseProxy(name: string, value: string | undefined): EgressProxy | undefined {
  if (value === undefined) return undefined;
  const url = URL.parse(value);
  const plain = url !== null && /^https?:$/.test(url.protocol) && url.pathname === "/" && !url.search && !url.hash;
  const credentials = plain ? decodeCredentials(url) : undefined;
  if (!plain || credentials === undefined) {
    const example = "http://name:password@proxy.example.com:3128";
    throw new ConfigError(`${name} takes a proxy's URL such as ${example}, without a path`);
  }
  return {
    secure: url.protocol === "https:",
    hostname: hostnameOf(url),
    port: portOf(url),
    authorization: credentials === "" ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`,
  };
}

/** The name and password of a URL with a colon between; empty if it has none, undefined if they cannot be decoded. */
function decodeCredentials({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return "";
  try {
    return `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    return undefined;
  }
}

/** Origins separated by commas, or "*" alone. */
export function parseOrigins(name: string, value: string | undefined): string[] {
  const items = list(value);
  if (items.includes("*") && items.length > 1) throw new ConfigError(`${name} takes origins or * alone, not both`);
  return items.map((item) => (item === "*" ? item : (parseOrigin(name, item) ?? item)));
}

export function parseDatabaseUrl(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (!/^postgres(ql)?:\/\//.test(value)) {
    throw new ConfigError("DATABASE_URL takes a PostgreSQL URL such as postgres://user:password@host:5432/database");
  }
  return value;
}

export function parseKey(name: string, value: string | undefined): Buffer | undefined {
  return value === undefined ? undefined : requireKey(name, value);
}

export function requireKey(name: string, value: string): Buffer {
  const key = Buffer.from(value, "base64");
  if (!/^[A-Za-z0-9+/]{43}=?$/.test(value) || key.length !== 32) {
    throw new ConfigError(`${name} takes base64 of exactly 32 bytes (make one with: openssl rand -base64 32)`);
  }
  return key;
}

/** The form of an API key: `alm_live_` or `alm_test_` and at least 32 hexadecimal digits. */
export const API_KEY_PATTERN = /^alm_(live|test)_[0-9a-f]{32,128}$/;

export function parseApiKey(value: string | undefined): string | undefined {
  if (value !== undefined && !API_KEY_PATTERN.test(value)) {
    throw new ConfigError("BOOTSTRAP_API_KEY takes alm_live_ or alm_test_ followed by 32 to 128 hexadecimal digits");
  }
  return value;
}

export function list(value: string | undefined): string[] {
  return (value ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

export function parseCidrs(name: string, value: string | undefined): string[] {
  return list(value).map((item) => {
    const [address = "", prefix, ...rest] = item.split("/");
    const family = isIP(address);
    const bits = Number(prefix ?? (family === 4 ? 32 : 128));
    const valid = family !== 0 && rest.length === 0 && (prefix === undefined || /^\d{1,3}$/.test(prefix));
    if (!valid || bits > (family === 4 ? 32 : 128)) {
      throw new ConfigError(`${name} takes CIDR ranges separated by commas, such as 10.0.0.0/8, not "${item}"`);
    }
    return `${address}/${bits}`;
  });
}

export function oneOf(name: string, value: string, allowed: readonly string[]): string {
  if (!allowed.includes(value)) throw new ConfigError(`${name} takes one of ${allowed.join(", ")}, not "${value}"`);
  return value;
}

/** A BlockList that answers whether an address lies in one of the ranges (as validated by loadConfig). */
export function addressRanges(cidrs: readonly string[]): BlockList {
  const ranges = new BlockList();
  for (const cidr of cidrs) {
    const [address = "", bits = "0"] = cidr.split("/");
    ranges.addSubnet(address, Number(bits), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  return ranges;
}

/** Paths of PEM files: the certificate with its intermediates, and its private key. */
export interface TlsFiles {
  readonly certPath: string;
  readonly keyPath: string;
}

/** Both files or none. */
export function parseTlsFiles(cert: string | undefined, key: string | undefined): TlsFiles | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined)
    throw new ConfigError("TLS_CERT is required with TLS_KEY: the path of the certificate in PEM");
  if (key === undefined) throw new ConfigError("TLS_KEY is required with TLS_CERT: the path of the private key in PEM");
  return { certPath: resolve(cert), keyPath: resolve(key) };
}

/** The delays of DELIVERY_SCHEDULE, milliseconds. */
export function parseScheduleSetting(value: string): readonly number[] {
  try {
    return parseDeliverySchedule(value);
  } catch (error) {
    throw new ConfigError(`DELIVERY_SCHEDULE ${(error as Error).message}`);
  }
}

/** The time of FORWARDING_STOP_AFTER, milliseconds; null for `never`. */
export function parseStopAfter(value: string): number | null {
  if (value === "never") return null;
  const [, amount, unit] = /^(\d{1,6})(m|h|d)$/.exec(value) ?? [];
  const ms = Number(amount) * (unit === "d" ? 86_400_000 : unit === "h" ? 3_600_000 : 60_000);
  if (ms >= 60_000 && ms <= 365 * 86_400_000) return ms;
  throw new ConfigError(
    `FORWARDING_STOP_AFTER takes a time such as 30m, 12h or 5d, 365d at most, or never, not "${value}"`,
  );
}
