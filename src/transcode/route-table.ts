/**
 * Which route a request path belongs to. The path alone decides, most literal first and with backtracking; the
 * method is looked at only then. So a literal owns its path: `DELETE /webhooks/events` is METHOD_NOT_ALLOWED
 * where only GET has the literal, even if `DELETE /webhooks/{id}` exists.
 */
import type { Template, TemplateVariable } from "./template.ts";
import { badRequest } from "./transcode-error.ts";

/** Segments of a request path that are looked at; longer paths match nothing. */
const PATH_SEGMENTS_MAX = 256;

/** The method of a route that takes any; a route for the method itself wins over it. */
export const ANY_METHOD = "*";

export interface Route<T> {
  /** How errors at start-up call the route. */
  readonly name: string;
  readonly method: string;
  readonly template: Template;
  readonly target: T;
}

export interface FoundRoute<T> {
  readonly kind: "route";
  readonly target: T;
  readonly values: readonly string[];
}

export type RouteMatch<T> =
  | FoundRoute<T>
  | { readonly kind: "options" | "methodNotAllowed"; readonly allow: string }
  | { readonly kind: "notFound" };

export interface RouteTable<T> {
  /**
   * Finds the route. `path` is the undecoded path of the request, without the query. HEAD falls back to GET.
   * Values stand in the order of the template's variables. Throws TranscodeError on a malformed escape.
   */
  match(method: string, path: string): RouteMatch<T>;
}

interface Leaf<T> {
  readonly routes: Map<string, Route<T>>;
  allow: string;
}

interface Node<T> {
  readonly literals: Map<string, Node<T>>;
  one: Node<T> | undefined;
  rest: Node<T> | undefined;
  /** What ends here, by verb. */
  readonly leaves: Map<string, Leaf<T>>;
}

interface Tree<T> {
  readonly root: Node<T>;
  readonly verbs: ReadonlySet<string>;
  /** Length of the longest verb where every byte of it is escaped. */
  readonly verbCharsMax: number;
}

/** Characters of one percent escape. */
const ESCAPE_CHARS = 3;

/** Builds the table. Throws Error where two routes have the same method, shape and verb. */
export function createRouteTable<T>(routes: readonly Route<T>[]): RouteTable<T> {
  const root = createNode<T>();
  const verbs = new Set<string>();
  for (const route of routes) {
    insert(root, route);
    verbs.add(route.template.verb);
  }
  verbs.delete("");
  const verbCharsMax = Math.max(0, ...[...verbs].map((verb) => ESCAPE_CHARS * Buffer.byteLength(verb)));
  return { match: (method, path) => match({ root, verbs, verbCharsMax }, method, path) };
}

function createNode<T>(): Node<T> {
  return { literals: new Map(), one: undefined, rest: undefined, leaves: new Map() };
}

function insert<T>(root: Node<T>, route: Route<T>): void {
  let node = root;
  for (const segment of route.template.segments) {
    if (segment.kind === "literal") {
      const next: Node<T> = node.literals.get(segment.text) ?? createNode();
      node.literals.set(segment.text, next);
      node = next;
    } else {
      node = node[segment.kind] ??= createNode();
    }
  }
  const leaf = node.leaves.get(route.template.verb) ?? { routes: new Map<string, Route<T>>(), allow: "" };
  const other = leaf.routes.get(route.method);
  if (other !== undefined) {
    throw new Error(`${route.name}: same method, path shape and verb as ${other.name}`);
  }
  leaf.routes.set(route.method, route);
  leaf.allow = allowedMethods([...leaf.routes.keys()]);
  node.leaves.set(route.template.verb, leaf);
}

function allowedMethods(methods: readonly string[]): string {
  const allowed = new Set(methods);
  if (allowed.has("GET")) {
    allowed.add("HEAD");
  }
  allowed.add("OPTIONS");
  return [...allowed].join(", ");
}

function match<T>({ root, verbs, verbCharsMax }: Tree<T>, method: string, path: string): RouteMatch<T> {
  const raw = splitPath(path);
  const segments = path.includes("%") ? raw.map(decodeSegment) : raw;
  if (raw.length > PATH_SEGMENTS_MAX) {
    return { kind: "notFound" };
  }
  const last = raw.at(-1) ?? "";
  // The colon of a verb is never an encoded one; the first colon leaves the longest verb that there is.
  const start = Math.max(0, last.length - 1 - verbCharsMax);
  for (let colon = verbs.size > 0 ? last.indexOf(":", start) : -1; colon !== -1; colon = last.indexOf(":", colon + 1)) {
    const verb = decodeSegment(last.slice(colon + 1));
    if (verbs.has(verb)) {
      const stem = last.slice(0, colon);
      const leaf = find(root, [...segments.slice(0, -1), decodeSegment(stem)], 0, verb);
      if (leaf !== undefined) {
        return answer(leaf, method, [...raw.slice(0, -1), stem]);
      }
    }
  }
  const leaf = find(root, segments, 0, "");
  return leaf === undefined ? { kind: "notFound" } : answer(leaf, method, raw);
}

function splitPath(path: string): string[] {
  if (!path.startsWith("/")) {
    throw badRequest(`the request path must start with "/"`);
  }
  const segments: string[] = [];
  for (let start = 1; start <= path.length && path !== "/"; ) {
    const slash = path.indexOf("/", start);
    const end = slash === -1 ? path.length : slash;
    segments.push(path.slice(start, end));
    start = end + 1;
  }
  return segments;
}

/** Depth-first, literal before `*` before `**`. Empty segments match nothing. */
function find<T>(node: Node<T>, segments: readonly string[], depth: number, verb: string): Leaf<T> | undefined {
  const segment = segments[depth];
  if (segment === undefined) {
    return node.leaves.get(verb) ?? node.rest?.leaves.get(verb);
  }
  if (segment === "") {
    return undefined;
  }
  const literal = node.literals.get(segment);
  const found =
    (literal && find(literal, segments, depth + 1, verb)) ?? (node.one && find(node.one, segments, depth + 1, verb));
  if (found !== undefined || node.rest === undefined) {
    return found;
  }
  return segments.includes("", depth) ? undefined : node.rest.leaves.get(verb);
}

function answer<T>(leaf: Leaf<T>, method: string, raw: readonly string[]): RouteMatch<T> {
  const route =
    leaf.routes.get(method) ?? (method === "HEAD" ? leaf.routes.get("GET") : undefined) ?? leaf.routes.get(ANY_METHOD);
  if (route !== undefined) {
    const values = route.template.variables.map((variable) => capture(variable, raw));
    return { kind: "route", target: route.target, values };
  }
  return { kind: method === "OPTIONS" ? "options" : "methodNotAllowed", allow: leaf.allow };
}

function capture(variable: TemplateVariable, raw: readonly string[]): string {
  if (!variable.multiSegment) {
    return decodeSegment(raw[variable.start] ?? "");
  }
  return raw.slice(variable.start, variable.end).map(decodeAllButSlash).join("/");
}

function decodeSegment(segment: string): string {
  if (!segment.includes("%")) {
    return segment;
  }
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest("the request path has a malformed percent escape");
  }
}

/** In a value of several segments an encoded slash stays encoded, so that it differs from a separating one. */
function decodeAllButSlash(segment: string): string {
  return segment.split(/%2f/i).map(decodeSegment).join("%2F");
}
