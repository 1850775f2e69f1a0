/** Every REST route, read from the generated descriptors: a new route is tested without anybody thinking of it. */
import { readdirSync } from "node:fs";
import type { DescMessage, DescMethod, DescService } from "@bufbuild/protobuf";
import { httpBindings } from "../../src/transcode/http-rule.ts";

const GENERATED = new URL("../../gen/alumia/webhooks/v1/", import.meta.url);

export interface RestRoute {
  /** `Service.Method`. */
  readonly rpc: string;
  readonly method: string;
  /** The template, relative to `/api/v1`. */
  readonly template: string;
  /** Whether it takes a JSON body. */
  readonly hasBody: boolean;
  /** JSON names of the body's fields that name something by its id. */
  readonly bodyIds: readonly string[];
  /** Needs no API key. */
  readonly isPublic: boolean;
  /** Shows the same to every organization. */
  readonly isShared: boolean;
}

/** Services that take no API key. Adding one here is a decision, not an accident. */
const PUBLIC_SERVICES = ["ReceiveService"];
/** Services that hold nothing of any organization's; adding one here is a decision, too. */
const SHARED_SERVICES = ["SourceService"];

export async function restRoutes(): Promise<RestRoute[]> {
  const services = await allServices();
  return services.flatMap((service) => service.methods.flatMap((method) => routesOf(service, method)));
}

/** Every service of the API. */
export async function allServices(): Promise<DescService[]> {
  const services: DescService[] = [];
  for (const file of readdirSync(GENERATED).filter((name) => name.endsWith("_pb.ts"))) {
    const generated: Record<string, unknown> = await import(new URL(file, GENERATED).href);
    for (const value of Object.values(generated)) if (isService(value)) services.push(value);
  }
  return services;
}

const isService = (value: unknown): value is DescService =>
  typeof value === "object" && value !== null && "kind" in value && value.kind === "service";

function routesOf(service: DescService, method: DescMethod): RestRoute[] {
  return httpBindings(method).map((binding) => {
    const inPath = binding.template.variables.map(({ fieldPath }) => fieldPath.join("."));
    return {
      rpc: `${service.name}.${method.name}`,
      method: binding.method,
      template: binding.path.replace(/^\/api\/v1/, ""),
      hasBody: binding.body !== undefined,
      bodyIds: binding.body === "*" ? idsOf(method.input, inPath) : [],
      isPublic: PUBLIC_SERVICES.includes(service.name),
      isShared: SHARED_SERVICES.includes(service.name),
    };
  });
}

function idsOf(message: DescMessage, bound: readonly string[]): string[] {
  const named = message.fields.filter(({ name }) => /(^|_)ids?$/.test(name) && !bound.includes(name));
  return named.map((field) => field.jsonName);
}

/** The path with the id in place of every variable. */
export const pathWith = (route: RestRoute, id: string): string => route.template.replaceAll(/\{[^}]+\}/g, id);

export const hasVariable = (route: RestRoute): boolean => route.template.includes("{");
