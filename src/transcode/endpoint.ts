/** One route, compiled: how its request is bound, which implementation it calls, how the response is written. */
import { createRegistry, type DescFile, type DescMessage, type Registry } from "@bufbuild/protobuf";
import type { ServiceImplSpec } from "@connectrpc/connect";
import type { ServerStreamingSpec, UnarySpec } from "../call/invoke.ts";
import { compileBinder, type RequestBinder } from "./binding.ts";
import { fromHttpBody, isHttpBody, type RawBody } from "./http-body.ts";
import { explained, type HttpBinding, httpBindings } from "./http-rule.ts";
import { createJsonReaders, type JsonReaders } from "./json-input.ts";
import { createJsonWriters, type JsonWriters } from "./json-output.ts";
import { getLocal, type LocalMessage } from "./message-access.ts";

export type CallableSpec = UnarySpec | ServerStreamingSpec;

/** How a response message becomes the HTTP body. */
export type ResponseForm =
  | { readonly kind: "json"; readonly write: (message: LocalMessage) => unknown }
  | { readonly kind: "raw"; readonly pick: (message: LocalMessage) => RawBody };

export interface Endpoint {
  readonly binding: HttpBinding;
  readonly spec: CallableSpec;
  readonly binder: RequestBinder;
  readonly form: ResponseForm;
}

/** Compiles every annotated RPC of the services. Throws Error, naming RPC and template, on any that is wrong. */
export function compileEndpoints(services: readonly ServiceImplSpec[]): Endpoint[] {
  const registry = registryOf(services);
  const readers = createJsonReaders(registry);
  const writers = createJsonWriters(registry);
  return services.flatMap(({ service, methods }) =>
    service.methods.flatMap((rpc) => {
      const spec = methods[rpc.localName];
      const bindings = spec === undefined ? [] : httpBindings(rpc);
      return bindings.map((binding) => compileEndpoint(binding, spec as CallableSpec, readers, writers, registry));
    }),
  );
}

function compileEndpoint(
  binding: HttpBinding,
  spec: CallableSpec,
  readers: JsonReaders,
  writers: JsonWriters,
  registry: Registry,
): Endpoint {
  return explained(binding.rpc, binding.method, binding.path, () => ({
    binding,
    spec,
    binder: compileBinder(binding, readers, registry),
    form: compileForm(binding, writers),
  }));
}

function compileForm(binding: HttpBinding, writers: JsonWriters): ResponseForm {
  const field = binding.responseBody;
  const output: DescMessage = binding.rpc.output;
  if (field === undefined) {
    return isHttpBody(output) ? { kind: "raw", pick: fromHttpBody } : { kind: "json", write: writers.message(output) };
  }
  if (field.fieldKind === "message" && isHttpBody(field.message)) {
    return { kind: "raw", pick: (message) => fromHttpBody(getLocal(message, field) as LocalMessage | undefined) };
  }
  return { kind: "json", write: writers.field(field) };
}

/** Every type that the services' files know, for google.protobuf.Any. */
function registryOf(services: readonly ServiceImplSpec[]): Registry {
  const files = new Set<DescFile>();
  const add = (file: DescFile): void => {
    if (!files.has(file)) {
      files.add(file);
      file.dependencies.forEach(add);
    }
  };
  for (const { service } of services) {
    add(service.file);
  }
  return createRegistry(...files);
}
