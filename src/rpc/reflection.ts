/** Server reflection: v1 and v1alpha have the same messages under other names, and one implementation. */
import type { DescFile, MessageInitShape } from "@bufbuild/protobuf";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { AppError } from "../errors.ts";
import { type EndlessStreams, orAborted } from "./endless-streams.ts";
import type { SchemaIndex } from "./schema-index.ts";

export interface ReflectionOptions {
  readonly schema: SchemaIndex;
  readonly streams: EndlessStreams;
  /** Questions that one stream may ask. */
  readonly requestsMax: number;
}

type Response = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

export function reflectionService({
  schema,
  streams,
  requestsMax,
}: ReflectionOptions): ServiceImpl<typeof ServerReflection> {
  async function* answers(requests: AsyncIterable<ServerReflectionRequest>, signal: AbortSignal) {
    const iterator = requests[Symbol.asyncIterator]();
    for (let count = 1; ; count++) {
      const next = await orAborted(iterator.next(), signal);
      if (next === undefined || next.done) return;
      if (count > requestsMax) {
        throw new AppError("TOO_MANY_REQUESTS", `a stream takes at most ${requestsMax} requests; open another`);
      }
      const { host, messageRequest } = next.value;
      yield {
        validHost: host,
        originalRequest: { host, messageRequest },
        messageResponse: answer(schema, messageRequest),
      };
    }
  }

  return {
    serverReflectionInfo: (requests, context) => streams.run(context, (signal) => answers(requests, signal)),
  };
}

function answer(schema: SchemaIndex, request: ServerReflectionRequest["messageRequest"]): Response {
  switch (request.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: schema.services.map((name) => ({ name })) } };
    case "fileByFilename":
      return files(schema, schema.file(request.value));
    case "fileContainingSymbol":
      return files(schema, schema.fileDeclaring(request.value));
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = request.value;
      return files(schema, schema.fileExtending(containingType, extensionNumber));
    }
    case "allExtensionNumbersOfType": {
      const extensionNumber = schema.extensionNumbers(request.value);
      if (extensionNumber === undefined) return refusal(Code.NotFound, "no such type");
      const value = { baseTypeName: request.value, extensionNumber: [...extensionNumber] };
      return { case: "allExtensionNumbersResponse", value };
    }
    default:
      return refusal(Code.InvalidArgument, "the request asks nothing");
  }
}

function files(schema: SchemaIndex, file: DescFile | undefined): Response {
  if (file === undefined) return refusal(Code.NotFound, "nothing of this name is served");
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: schema.descriptors(file) } };
}

/** A question without an answer does not end the stream. */
function refusal(errorCode: Code, errorMessage: string): Response {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
