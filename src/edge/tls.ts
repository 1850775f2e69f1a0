/** TLS at the port: the certificate, read again when its files change, and what a client in cleartext is told. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync, unwatchFile, watchFile } from "node:fs";
import type { Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { ConfigError, type Limits, type TlsFiles } from "../config.ts";
import type { Logger } from "../observe/logger.ts";
import { restError } from "../rpc/error-mapping.ts";

export interface TlsGateOptions {
  readonly files: TlsFiles;
  /** How often the files are looked at, milliseconds. */
  readonly reloadIntervalMs: number;
  readonly onRenewed: () => void;
  /** The changed files cannot be used; the certificate before them stays. */
  readonly onUnusable: (error: Error) => void;
}

export class TlsGate {
  readonly #options: TlsGateOptions;
  #context: SecureContext;

  /** Throws a ConfigError that names the variable at fault. */
  constructor(options: TlsGateOptions) {
    this.#options = options;
    this.#context = readContext(options.files);
  }

  /** Looks after the files until `unwatch`. */
  watch(): void {
    const { files, reloadIntervalMs } = this.#options;
    for (const path of [files.certPath, files.keyPath]) {
      watchFile(path, { interval: reloadIntervalMs, persistent: false }, this.#renew);
    }
  }

  unwatch(): void {
    const { certPath, keyPath } = this.#options.files;
    for (const path of [certPath, keyPath]) unwatchFile(path, this.#renew);
  }

  /** The server's end of TLS over an accepted socket, with either version of HTTP by ALPN. */
  secure(socket: Socket): TLSSocket {
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: this.#context,
      ALPNProtocols: ["h2", "http/1.1"],
    });
    // What Node's HTTP/2 server looks at: as tls.Server does, the handshake is declared ended; and HTTP/2 is agreed on
    // whatever ALPN said, because here the preface decides.
    secured.once("secure", () => Object.assign(secured, { secureConnecting: false, alpnProtocol: "h2" }));
    return secured;
  }

  /** Tells a client that speaks no TLS so, and ends. */
  refuse(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    socket.end(CLEARTEXT_REFUSAL, () => socket.destroySoon());
    socket.resume();
  }

  readonly #renew = (): void => {
    try {
      this.#context = readContext(this.#options.files);
      this.#options.onRenewed();
    } catch (error) {
      this.#options.onUnusable(error as Error);
    }
  };
}

/** The gate of a service, which tells its log of renewals. Throws as its constructor does. */
export function openTls(files: TlsFiles, limits: Pick<Limits, "tlsReloadIntervalMs">, logger: Logger): TlsGate {
  return new TlsGate({
    files,
    reloadIntervalMs: limits.tlsReloadIntervalMs,
    onRenewed: () => logger.info("the TLS certificate was renewed"),
    onUnusable: (err) =>
      logger.error({ err }, "the changed TLS files cannot be used; the certificate before them stays"),
  });
}

function readContext({ certPath, keyPath }: TlsFiles): SecureContext {
  const cert = readPem("TLS_CERT", certPath);
  const key = readPem("TLS_KEY", keyPath);
  const certificate = readCertificate(cert, certPath);
  try {
    createSecureContext({ cert });
  } catch {
    throw new ConfigError(`TLS_CERT takes the path of a certificate in PEM; ${certPath} holds none that can be used`);
  }
  if (!certificate.checkPrivateKey(readKey(key, keyPath))) {
    throw new ConfigError(`TLS_KEY takes the private key of TLS_CERT; the one in ${keyPath} is of another certificate`);
  }
  return createSecureContext({ cert, key, minVersion: "TLSv1.2" });
}

function readPem(name: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(
      `${name} takes the path of a PEM file; ${path} cannot be read (${(error as { code?: string }).code})`,
    );
  }
}

function readCertificate(pem: string, path: string): X509Certificate {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    throw new ConfigError(`TLS_CERT takes the path of a certificate in PEM; ${path} holds none`);
  }
  if (Date.parse(certificate.validTo) < Date.now()) {
    throw new ConfigError(`TLS_CERT takes a valid certificate; the one in ${path} expired on ${certificate.validTo}`);
  }
  return certificate;
}

function readKey(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new ConfigError(
      `TLS_KEY takes the path of the private key of TLS_CERT in PEM, without a passphrase; ${path} holds none`,
    );
  }
}

const CLEARTEXT_BODY = JSON.stringify(restError("BAD_REQUEST", "this port speaks TLS: use https").body);
const CLEARTEXT_REFUSAL = [
  "HTTP/1.1 400 Bad Request",
  "content-type: application/json",
  `content-length: ${CLEARTEXT_BODY.length}`,
  "connection: close",
  "",
  CLEARTEXT_BODY,
].join("\r\n");
