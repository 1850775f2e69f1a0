/** Which error is which failure, where no peer of the tests can be made to cause it. */
import { expect, test } from "vitest";
import { ConnectError } from "../../src/outbound/dial.ts";
import { failureOf } from "../../src/outbound/failure.ts";

const coded = (code: string) => Object.assign(new Error("secret detail"), { code });
const REFUSED = "The destination does not accept our certificate.";

test.each([
  ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "The destination requires a client certificate."],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", REFUSED],
  ["ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE", REFUSED],
  ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED", REFUSED],
  ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN", REFUSED],
  ["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", null],
])("%s, within the handshake and after it", (code, message) => {
  const during = failureOf(new ConnectError("tls", coded(code)), "The destination");
  expect(during).toEqual({ code: "tls", message: message ?? "The TLS handshake with the destination failed." });
  const after = failureOf(coded(code), "The destination");
  expect(after).toEqual({ code: "tls", message: message ?? "The TLS connection to the destination broke." });
});

test.each([
  ["EHOSTUNREACH", "The issuer cannot be reached from here."],
  ["ENETUNREACH", "The issuer cannot be reached from here."],
  ["ETIMEDOUT", "The issuer did not answer the connection."],
  ["EMFILE", "No connection to the issuer could be made."],
])("%s on connecting", (code, message) => {
  const ofMany = new AggregateError([coded(code), coded("ECONNREFUSED")], "secret detail");
  for (const error of [coded(code), ofMany]) {
    expect(failureOf(new ConnectError("connect", error), "The issuer")).toEqual({ code: "connect", message });
  }
});
