/**
 * What one HTTP/2 session may do. nghttp2 bounds what it sees alone (frames that make no sense, CONTINUATION, header
 * lists, its own queues); here is what takes a view of the whole: control frames that cost the sender less than us
 * (CVE-2019-9512, -9515), streams that end in a reset (CVE-2023-44487, and resets that the sender makes us send), answers
 * that are asked for and not taken (CVE-2019-9511, -9517), sessions without a stream, and peers that are gone.
 */
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { Allowance, type AnswerLimits, AnswerPace } from "./pace.ts";
import { Roster } from "./roster.ts";
import type { Watched } from "./watchdog.ts";

export interface SessionLimits extends AnswerLimits {
  readonly http2IdleTimeoutMs: number;
  readonly http2PingIntervalMs: number;
  readonly http2PingTimeoutMs: number;
  readonly http2PingBurst: number;
  readonly http2PingsPerSecond: number;
  readonly http2SettingsBurst: number;
  readonly http2SettingsPerSecond: number;
  readonly http2ResetBurst: number;
  readonly http2ResetsPerSecond: number;
}

/** What the guard tells of, and asks of, the connection below the session. */
export interface SessionConnection {
  readonly bytesRead: () => number;
  readonly onStream: () => void;
  readonly onStreamEnd: () => void;
  readonly destroy: () => void;
}

/** Allows every stream that is on its way when a GOAWAY is sent (RFC 9113 §6.8). */
const LAST_STREAM_ID = 2 ** 31 - 1;

export class SessionGuard implements Watched {
  readonly #session: ServerHttp2Session;
  readonly #connection: SessionConnection;
  readonly #limits: SessionLimits;
  readonly #streams = new Roster<{ readonly stream: ServerHttp2Stream; readonly pace: AnswerPace }>();
  #idleSinceMs = performance.now();
  #bytesRead = 0;
  #heardMs = performance.now();
  #pingedMs: number | undefined;
  #isRetiring = false;

  constructor(session: ServerHttp2Session, connection: SessionConnection, limits: SessionLimits) {
    this.#session = session;
    this.#connection = connection;
    this.#limits = limits;
    const { http2PingBurst, http2PingsPerSecond, http2SettingsBurst, http2SettingsPerSecond } = limits;
    const pings = new Allowance(http2PingBurst, http2PingsPerSecond);
    const settings = new Allowance(http2SettingsBurst, http2SettingsPerSecond);
    const resets = new Allowance(limits.http2ResetBurst, limits.http2ResetsPerSecond);
    session.on("ping", () => this.#spend(pings));
    session.on("remoteSettings", () => this.#spend(settings));
    session.on("stream", (stream) => this.#follow(stream, resets));
  }

  get streams(): number {
    return this.#streams.size;
  }

  /**
   * Lets what is under way and what is on its way end, and nothing after that: a GOAWAY that refuses no stream, and once
   * the peer has seen it, one that does. Without streams nghttp2 reads no further after the first, so there is one only.
   */
  retire(): void {
    if (this.#isRetiring || this.#session.destroyed) return;
    this.#isRetiring = true;
    if (this.#streams.size === 0) {
      this.#session.close();
      return;
    }
    this.#session.goaway(constants.NGHTTP2_NO_ERROR, LAST_STREAM_ID);
    this.#ping(() => this.#session.close());
  }

  sweep(nowMs: number): void {
    if (this.#session.destroyed) return;
    this.#resetStalled(nowMs);
    if (this.#isGone(nowMs)) this.#connection.destroy();
    else if (this.#streams.size === 0 && nowMs - this.#idleSinceMs > this.#limits.http2IdleTimeoutMs) this.retire();
  }

  #follow(stream: ServerHttp2Stream, resets: Allowance): void {
    const remove = this.#streams.add({ stream, pace: new AnswerPace(stream, this.#limits) });
    this.#connection.onStream();
    stream.once("close", () => {
      remove();
      this.#connection.onStreamEnd();
      this.#idleSinceMs = performance.now();
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) this.#spend(resets);
      if (this.#isRetiring && this.#streams.size === 0) this.#session.close();
    });
  }

  #resetStalled(nowMs: number): void {
    for (const { stream, pace } of this.#streams) {
      if (pace.isStalled(nowMs)) stream.close(constants.NGHTTP2_CANCEL);
    }
  }

  /** Whether the peer has left a ping without an answer; asks one of those from whom nothing has come for a while. */
  #isGone(nowMs: number): boolean {
    const { http2PingIntervalMs, http2PingTimeoutMs } = this.#limits;
    const bytesRead = this.#connection.bytesRead();
    if (bytesRead !== this.#bytesRead) {
      this.#bytesRead = bytesRead;
      this.#heardMs = nowMs;
    }
    if (this.#pingedMs !== undefined) return nowMs - this.#pingedMs > http2PingTimeoutMs;
    if (this.#streams.size > 0 && nowMs - this.#heardMs > http2PingIntervalMs) this.#ping(() => {});
    return false;
  }

  #ping(onAnswer: () => void): void {
    this.#pingedMs = performance.now();
    this.#session.ping((error) => {
      // One that cannot be sent is never answered: nghttp2 has given the session up, and Node has not noticed.
      if (error) return;
      this.#pingedMs = undefined;
      if (!this.#session.destroyed) onAnswer();
    });
  }

  #spend(allowance: Allowance): void {
    if (allowance.take() || this.#session.destroyed) return;
    this.#session.destroy(new Error("more control frames than allowed"), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }
}
