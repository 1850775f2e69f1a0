/** Deliveries with a client certificate, to a real TLS server that asks for one; and through a real proxy. */
import { readFileSync } from "node:fs";
import type { TLSSocket, TlsOptions } from "node:tls";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ConnectProxy, startConnectProxy } from "../support/connect-proxy.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook, outline } from "./forwarding.ts";
import { type CountingServer, listen, localhostCertificate } from "./misbehaving-servers.ts";

const fixture = (name: string) => readFileSync(new URL(`../support/tls/${name}.pem`, import.meta.url), "utf8");
const clientCertificate = { certificate: fixture("client-cert"), key: fixture("client-key") };

let service: TestService;
let behindProxy: TestService;
let proxy: ConnectProxy;
let server: CountingServer;
let webhook: ForwardingWebhook;
/** Names of the certificates that clients of requests showed, or null. */
let shown: (string | null)[];

beforeAll(async () => {
  proxy = await startConnectProxy();
  service = await startService({ certificateAuthorities: localhostCertificate });
  behindProxy = await startService({
    certificateAuthorities: localhostCertificate,
    env: { EGRESS_PROXY: `http://name:password@127.0.0.1:${proxy.port}` },
  });
});
beforeEach(async () => {
  shown = [];
  return async () => await server?.close();
});
afterAll(async () => {
  await Promise.all([service?.stop(), behindProxy?.stop()]);
  await proxy?.close();
});

async function serve(tls: TlsOptions): Promise<string> {
  const options = { requestCert: true, ca: fixture("client-root"), ...tls };
  server = await listen(
    {
      onRequest: (socket) => {
        const peer = (socket as TLSSocket).getPeerCertificate();
        shown.push(peer.subject ? String(peer.subject.CN) : null);
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
      },
    },
    { tls: options },
  );
  return `https://localhost:${server.port}/hook`;
}

describe.each([
  ["TLSv1.3", "The destination requires a client certificate."],
  ["TLSv1.2", "The TLS handshake with the destination failed."],
] as const)("a server that wants a certificate, by %s", (version, message) => {
  const versions: TlsOptions = { minVersion: version, maxVersion: version };

  test("gets the one that is set, and refuses deliveries without", async () => {
    webhook = await createForwardingWebhook(service, await serve(versions));
    const refused = await webhook.settled(await webhook.sendEvent('{"n":1}'), "pending", 2);
    expect(outline(refused)).toEqual(["1 scheduled tls", "2 scheduled tls"]);
    expect(refused.attempts[0].errorMessage).toBe(message);
    expect(server.requests).toEqual([]);

    const { forwarding } = await webhook.patch({ forwarding: { clientCertificate } });
    expect(forwarding.clientCertificate).toEqual({
      ...{ certificate: clientCertificate.certificate.trim(), key: "[redacted]" },
      ...{ subject: "CN=gateway", issuer: "CN=Clients Intermediate", expiresAt: "2120-01-01T00:00:00Z" },
      fingerprint: expect.stringMatching(/^41:2A:/),
    });
    await webhook.settled(await webhook.sendEvent('{"n":2}'), "succeeded");
    expect(shown).toEqual(["gateway"]);
  });
});

test("a connection with a certificate is used by nobody who has none", async () => {
  const url = await serve({ rejectUnauthorized: false });
  const [named, nameless] = [await createForwardingWebhook(service, url), await createForwardingWebhook(service, url)];
  await named.patch({ forwarding: { clientCertificate } });
  for (const n of [1, 2]) {
    await named.settled(await named.sendEvent(`{"n":${n}}`), "succeeded");
    await nameless.settled(await nameless.sendEvent(`{"n":${n}}`), "succeeded");
  }
  expect(shown).toEqual(["gateway", null, "gateway", null]);
  expect(server.connections()).toBe(2);
  await named.patch({ forwarding: { clientCertificate: null } });
  await named.settled(await named.sendEvent('{"n":3}'), "succeeded");
  expect(shown[4]).toBeNull();
});

test("a server that does not trust the certificate's issuer gets nothing", async () => {
  webhook = await createForwardingWebhook(service, await serve({ ca: localhostCertificate }));
  await webhook.patch({ forwarding: { clientCertificate } });
  const refused = await webhook.settled(await webhook.sendEvent(), "pending", 2);
  // This one hangs up rather than say so.
  expect(outline(refused)[0]).toBe("1 scheduled reset");
  expect(server.requests).toEqual([]);
});

test("the certificate goes through the proxy to the destination, and the proxy gets its own password", async () => {
  webhook = await createForwardingWebhook(behindProxy, await serve({}));
  await webhook.patch({ forwarding: { clientCertificate } });
  const done = await webhook.settled(await webhook.sendEvent(), "succeeded");
  expect(shown).toEqual(["gateway"]);
  expect(done.attempts[0]).toMatchObject({ remoteAddress: "127.0.0.1" });
  const authorization = `Basic ${btoa("name:password")}`;
  expect(proxy.tunnels).toEqual([{ authority: `127.0.0.1:${server.port}`, authorization }]);
});

test("the proxy itself is no destination, and its faults are told apart", async () => {
  const refused = await behindProxy.api.post("/webhooks", { name: "x", url: `http://127.0.0.1:${proxy.port}/` });
  expect(refused.body.error.details).toEqual([expect.objectContaining({ field: "url", rule: "url.private_address" })]);
  webhook = await createForwardingWebhook(behindProxy, await serve({}));
  proxy.behave((_request, client) => client.end("HTTP/1.1 407 X\r\ncontent-length: 0\r\n\r\n"));
  const failed = await webhook.settled(await webhook.sendEvent(), "pending", 2);
  expect(failed.attempts[0]).toMatchObject({
    ...{ errorCode: "proxy", statusCode: null, remoteAddress: null, willRetry: true },
    errorMessage: "The egress proxy refused the tunnel with status 407.",
  });
  expect(server.connections()).toBe(0);
});
