/** A service whose RPCs do what a test says, behind the real edge, called through every protocol. */
import { readFileSync } from "node:fs";
import {
  create,
  createFileRegistry,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type Message,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createServiceImplSpec, type HandlerContext } from "@connectrpc/connect";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type EdgeOptions, startEdge } from "../support/edge.ts";
import type { Outcome } from "./outcome.ts";
import { type Call, type Protocol, protocolsOf } from "./protocols.ts";

const registry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, readFileSync(new URL("matrix.binpb", import.meta.url))),
);
const service = found(registry.getService("matrix.test.v1.MatrixService"));
const NoteSchema = found(registry.getMessage("matrix.test.v1.Note"));

export const say = found(service.method.say) as DescMethodUnary;
export const watch = found(service.method.watch) as DescMethodServerStreaming;

function found<T>(desc: T | undefined): T {
  if (desc === undefined) throw new Error("matrix.binpb is not current");
  return desc;
}

export interface NoteFields {
  readonly text?: string;
  readonly data?: Uint8Array;
  readonly number?: number;
}

export type Note = Message & Required<NoteFields>;

export const note = (fields: NoteFields = {}) => create(NoteSchema, { ...fields }) as Note;

export interface Handlers {
  readonly say?: (request: Note, context: HandlerContext) => Note | Promise<Note>;
  readonly watch?: (request: Note, context: HandlerContext) => AsyncIterable<Note>;
}

export interface Matrix {
  readonly protocols: readonly Protocol[];
  /** What the RPCs do from now on. */
  serve(handlers: Handlers): void;
  /** The outcome of the call in each protocol, one after the other, by the protocol's name. */
  run(call: Call | ((protocol: Protocol) => Call), protocols?: readonly Protocol[]): Promise<Record<string, Outcome>>;
  close(): Promise<void>;
}

export async function startMatrix(options: EdgeOptions = {}): Promise<Matrix> {
  let handlers: Handlers = {};
  const implementation = {
    say: (request: Note, context: HandlerContext) => found(handlers.say)(request, context),
    watch: (request: Note, context: HandlerContext) => found(handlers.watch)(request, context),
  };
  const edge = await startEdge([createServiceImplSpec(service, implementation as object)], options);
  const protocols = protocolsOf(edge.port);
  return {
    protocols,
    serve: (given) => {
      handlers = given;
    },
    run: async (call, chosen = protocols) => {
      const outcomes: Record<string, Outcome> = {};
      for (const protocol of chosen) {
        outcomes[protocol.name] = await protocol.call(typeof call === "function" ? call(protocol) : call);
      }
      return outcomes;
    },
    close: async () => {
      for (const protocol of protocols) protocol.close();
      await edge.close();
    },
  };
}

const SUCCESS: Outcome = { code: "Ok", message: "", details: [], messages: [], headers: {}, trailers: {} };

export interface Expected extends Partial<Outcome> {
  /** REST's status and code; 200 by default. */
  readonly rest?: string;
  /** How the outcome of a family of protocols differs by design. */
  readonly except?: Partial<Record<Protocol["family"], Partial<Outcome>>>;
}

/**
 * What is expected of each protocol: the same, but that REST has statuses and codes of its own, no details other than
 * BadRequest (its code says what ErrorInfo does) and no trailers of a success.
 */
export function inEvery(protocols: readonly Protocol[], expected: Expected): Record<string, Outcome> {
  const { rest = "200", except = {}, ...outcome } = expected;
  const common: Outcome = { ...SUCCESS, ...outcome };
  const details = common.details.filter(({ type }) => type === BadRequestSchema.typeName);
  const trailers = common.code === "Ok" ? {} : common.trailers;
  const overRest = { ...common, code: rest, details, trailers };
  return Object.fromEntries(
    protocols.map(({ name, family }) => {
      return [name, { ...(family === "rest" ? overRest : common), ...except[family] }];
    }),
  );
}
