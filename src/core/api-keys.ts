/** API keys: minting, looking up, listing, revoking. Only the SHA-256 of a key and its first 12 characters are stored. */
import { hash, randomBytes } from "node:crypto";
import type { Pool } from "pg";
import type { Clock } from "../clock.ts";
import { AppError, invalidField } from "../errors.ts";
import { ApiKey } from "../store/entities/api-key.ts";
import { type Orm, organizationScope } from "../store/orm.ts";
import { type ApiKeyRecord, findApiKeys, touchApiKeys } from "../store/sql/api-keys.ts";
import { transaction } from "../store/transaction.ts";
import type { Caller } from "./caller.ts";
import { newId } from "./ids.ts";
import { Lookups } from "./lookups.ts";
import { findPage, type Page, type PageRequest } from "./pages.ts";

/** How exact lastUsedAt is; a key is written at most once in this time, milliseconds. */
const LAST_USED_GRAIN_MS = 60_000;

/** SHA-256, in hex. */
const hashOf = (key: string): string => hash("sha256", key);

/** A key as a call presents it. */
export interface PresentedKey {
  readonly hash: string;
  /** Whose it was when it was last looked up, as far as that is remembered: tells customers from strangers, and proves nothing. */
  readonly owner: Caller | undefined;
}

/** A new key's plaintext: 128 random bits as DESIGN §4 writes them. */
export const generateApiKey = (production: boolean): string =>
  `alm_${production ? "live" : "test"}_${randomBytes(16).toString("hex")}`;

export interface ApiKeyLimits {
  /** Calls whose keys one query looks up, and calls that wait for one. */
  readonly lookupBatchMax: number;
  readonly lookupsWaitingMax: number;
  /** Keys of which it is remembered whose they were. */
  readonly keyOwnersMax: number;
}

export class ApiKeys {
  readonly #orm: Orm;
  readonly #pool: Pool;
  readonly #lookups: Lookups<ApiKeyRecord>;
  /** Whose the keys were when they were last looked up, by hash, the longest unused first. */
  readonly #owners = new Map<string, Caller>();
  readonly #ownersMax: number;
  readonly #clock: Clock;
  readonly #production: boolean;

  /** `lookups`: a pool of their own, because anybody can ask for them. */
  constructor(options: {
    orm: Orm;
    pool: Pool;
    lookups: Pool;
    clock: Clock;
    production: boolean;
    limits: ApiKeyLimits;
  }) {
    this.#orm = options.orm;
    this.#pool = options.pool;
    this.#lookups = new Lookups({
      read: (hashes) => this.#read(options.lookups, hashes),
      batchMax: options.limits.lookupBatchMax,
      waitingMax: options.limits.lookupsWaitingMax,
    });
    this.#ownersMax = options.limits.keyOwnersMax;
    this.#clock = options.clock;
    this.#production = options.production;
  }

  /**
   * Whose key this is. UNAUTHORIZED if it is malformed, unknown, expired or revoked; looked up anew on every call, so
   * that a revocation holds at once on every replica. SERVICE_UNAVAILABLE if the store cannot be read.
   */
  async authenticate(presented: PresentedKey | undefined): Promise<Caller> {
    if (!presented) throw new AppError("UNAUTHORIZED", "send an API key: Authorization: Bearer alm_live_…");
    const { hash } = presented;
    const found = await this.#lookups.find(hash);
    this.#owners.delete(hash);
    if (!found) throw new AppError("UNAUTHORIZED", "this API key is unknown, expired or revoked");
    const caller = { organizationId: found.organizationId };
    this.#remember(hash, caller);
    return caller;
  }

  /** The key that an authorization header presents; undefined if it presents none. */
  present(authorization: string | null | undefined): PresentedKey | undefined {
    const key = /^Bearer +(alm_(?:live|test)_[0-9a-f]{32,128})$/i.exec(authorization ?? "")?.[1];
    if (key === undefined) return undefined;
    const hash = hashOf(key);
    return { hash, owner: this.#owners.get(hash) };
  }

  #remember(keyHash: string, owner: Caller): void {
    this.#owners.set(keyHash, owner);
    const [longestUnused] = this.#owners.keys();
    if (this.#owners.size > this.#ownersMax && longestUnused !== undefined) this.#owners.delete(longestUnused);
  }

  /** Notes the use of what is found, off the callers' path; a failure only leaves lastUsedAt older. */
  async #read(lookups: Pool, hashes: readonly string[]): Promise<Map<string, ApiKeyRecord>> {
    const nowMs = this.#clock.now();
    const found = await findApiKeys(lookups, hashes, { nowMs, staleMs: nowMs - LAST_USED_GRAIN_MS });
    const stale = [...found.values()].filter((key) => key.stale).map((key) => key.id);
    if (stale.length > 0) touchApiKeys(this.#pool, stale, nowMs).catch(() => {});
    return found;
  }

  async list(caller: Caller, request: PageRequest): Promise<Page<ApiKey>> {
    const em = organizationScope(this.#orm, caller.organizationId);
    return await findPage(em, ApiKey, { revokedAt: null }, request, true);
  }

  /** Mints a key; its plaintext is returned once and not kept. `expiresAt` must lie in the future. */
  async create(organizationId: string, name: string, expiresAt: Date | null): Promise<{ apiKey: ApiKey; key: string }> {
    if (expiresAt && expiresAt.getTime() <= this.#clock.now()) {
      throw invalidField("expiresAt", "future", "must lie in the future");
    }
    const key = generateApiKey(this.#production);
    return { apiKey: await this.store(organizationId, name, key, expiresAt), key };
  }

  /** Stores a key whose plaintext the caller has. */
  async store(organizationId: string, name: string, key: string, expiresAt: Date | null): Promise<ApiKey> {
    const em = organizationScope(this.#orm, organizationId);
    const apiKey = em.create(ApiKey, {
      id: newId(),
      organizationId,
      name,
      prefix: key.slice(0, 12),
      hash: Buffer.from(hashOf(key), "hex"),
      createdAt: new Date(this.#clock.now()),
      lastUsedAt: null,
      expiresAt,
      revokedAt: null,
    });
    await em.persist(apiKey).flush();
    return apiKey;
  }

  /** Revokes a key, at once. CONFLICT if it is the organization's last: two that revoke each other leave one. */
  async revoke(caller: Caller, id: string): Promise<void> {
    await transaction(this.#pool, async (client) => {
      const { rows } = await client.query<{ id: string }>(
        `select id from api_keys where organization_id = $1 and revoked_at is null
          and (expires_at is null or expires_at > to_timestamp($2 / 1000.0)) order by id for update`,
        [caller.organizationId, this.#clock.now()],
      );
      if (rows.length === 1 && rows[0]?.id === id.toLowerCase()) {
        throw new AppError("CONFLICT", "the last API key of an organization cannot be revoked; mint another first");
      }
      const { rowCount } = await client.query(
        `update api_keys set revoked_at = to_timestamp($3 / 1000.0)
         where id = $1 and organization_id = $2 and revoked_at is null`,
        [id, caller.organizationId, this.#clock.now()],
      );
      if (rowCount !== 1) throw new AppError("NOT_FOUND", "no such API key");
    });
  }
}
