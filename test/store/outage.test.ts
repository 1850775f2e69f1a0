import { expect, test } from "vitest";
import { isOutage } from "../../src/store/batch-errors.ts";

const failure = (message: string, fields: object = {}) => Object.assign(new Error(message), fields);

test.each<[string, unknown, boolean]>([
  ["a refused connection", failure("connect", { code: "ECONNREFUSED" }), true],
  ["a socket file that is gone", failure("connect", { code: "ENOENT" }), true],
  ["a broken connection", failure("read", { code: "ECONNRESET" }), true],
  ["a connection that pg saw end", failure("Connection terminated unexpectedly"), true],
  ["a full pool", failure("timeout exceeded when trying to connect"), true],
  ["a shutdown", failure("terminating connection", { code: "57P01", severity: "FATAL" }), true],
  ["a start", failure("the database system is starting up", { code: "57P03", severity: "FATAL" }), true],
  ["too many connections", failure("sorry", { code: "53300", severity: "FATAL" }), true],
  ["a database that takes none", failure("not accepting connections", { code: "55000", severity: "FATAL" }), true],
  ["a full disk", failure("could not extend file", { code: "53100", severity: "ERROR" }), true],
  ["a statement cut off", failure("statement timeout", { code: "57014", severity: "ERROR" }), true],
  ["a fault in a statement", failure("relation does not exist", { code: "42P01", severity: "ERROR" }), false],
  ["a deadlock", failure("deadlock detected", { code: "40P01", severity: "ERROR" }), false],
  ["text that cannot be stored", failure("invalid byte sequence", { code: "22021", severity: "ERROR" }), false],
  ["a fault of ours", new TypeError("x is not a function"), false],
  ["no error", "ECONNREFUSED", false],
  ["nothing", undefined, false],
])("%s: %s", (_what, error, expected) => {
  expect(isOutage(error)).toBe(expected);
});
