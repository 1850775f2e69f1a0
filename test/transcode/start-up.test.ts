import { createServiceImplSpec } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { createTranscoder, type Transcoder } from "../../src/transcode/transcoder.ts";
import { serviceType } from "./library.ts";

function start(...services: string[]): Transcoder {
  return createTranscoder({
    services: services.map((name) => createServiceImplSpec(serviceType(name), {})),
    interceptors: [],
    bodyBytesMax: 1,
    jsonDepthMax: 1,
    timeoutMsMax: 1,
    encodeError: () => ({ status: 500, body: {} }),
  });
}

describe("annotations that stop the start", () => {
  test.each([
    [
      13,
      "RepeatedVariableService",
      `GET /bad/{repeated_value}: variable "repeated_value" is no single value that a path can hold`,
    ],
    [13, "MapVariableService", `GET /bad/{map_value}: variable "map_value" is no single value that a path can hold`],
    [13, "MessageVariableService", `GET /bad/{nested}: variable "nested" is no single value that a path can hold`],
    [13, "UnknownVariableService", `GET /bad/{no_such}: unknown field "no_such"`],
    [13, "ThroughScalarService", `GET /bad/{string_value.x}: "string_value" has no fields of its own to name here`],
    [14, "UnknownBodyService", `POST /bad: body: transcode.test.v1.Everything has no field "no_such"`],
    [
      14,
      "NestedResponseBodyService",
      `GET /bad: response_body: transcode.test.v1.Everything has no field "nested.name"`,
    ],
    [7, "BadTemplateService", "GET /bad/: empty segment (two slashes, or a slash at the end)"],
    [0, "ClientStreamService", "POST /bad: RPCs whose requests stream cannot be transcoded"],
    [0, "NoPatternService", " : the rule has no HTTP method"],
  ])("row %i: %s", (_row, service, message) => {
    expect(() => start(service)).toThrow(new Error(`transcode.test.v1.${service}.Call: ${message}`));
  });

  test("row 15: two RPCs with the same method, shape and verb", () => {
    expect(() => start("SameShapeService")).toThrow(
      "transcode.test.v1.SameShapeService.Other: GET /bad/{bool_value}: same method, path shape and verb as " +
        "transcode.test.v1.SameShapeService.Call: GET /bad/{string_value}",
    );
    expect(() => start("LibraryService", "LibraryService")).toThrow("same method, path shape and verb");
  });
});

test("routes are listed with their RPCs, additional bindings too, RPCs without annotation not", () => {
  const routes = start("LibraryService").routes();
  expect(routes.slice(0, 3)).toEqual([
    { method: "GET", path: "/v1/{name=shelves/*/books/*}", rpc: "transcode.test.v1.LibraryService.GetShelf" },
    { method: "GET", path: "/v1/shelf/{name}", rpc: "transcode.test.v1.LibraryService.GetShelf" },
    { method: "DELETE", path: "/v1/shelf/{name}", rpc: "transcode.test.v1.LibraryService.DeleteShelf" },
  ]);
  expect(routes.some(({ rpc }) => rpc.endsWith("NotOverRest"))).toBe(false);
  expect(routes).toHaveLength(18);
});
