/** What every call passes through, whatever its protocol: error mapping and logging, then validation. */
import { type DescMessage, type DescMethod, getOption, hasOption, type Message } from "@bufbuild/protobuf";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import { Code, type Interceptor } from "@connectrpc/connect";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { AppError, type FieldViolation } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import { type Calling, onBehalfOf } from "../store/on-behalf.ts";
import { endOf } from "./deadline.ts";
import { toConnectError } from "./error-mapping.ts";
import { createWellFormedCheck, shown, VIOLATIONS_MAX, type WellFormedCheck } from "./well-formed.ts";

/** Lets what a call asks of the store end with it. */
export function createStoreInterceptor(): Interceptor {
  return (next) => (request) => {
    const answered = onBehalfOf(request, () => next(request));
    if (!request.stream) return answered;
    return answered.then((response) =>
      response.stream ? { ...response, message: eachOnBehalfOf(request, response.message) } : response,
    );
  };
}

/** A generator runs on behalf of whoever asks for its next item. */
async function* eachOnBehalfOf<Item>(call: Calling, items: AsyncIterable<Item>) {
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await onBehalfOf(call, () => iterator.next());
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await iterator.return?.();
  }
}

/** Turns whatever a service throws into what clients may see, and logs the causes of our own faults. */
export function createErrorInterceptor(logger: Logger): Interceptor {
  return (next) => async (request) => {
    const fail = (error: unknown): never => {
      // Whatever went wrong then, such as a statement that was ended with its call, is no fault of ours.
      if (request.signal.aborted) throw endOf(request.signal);
      const mapped = toConnectError(error);
      if (mapped.code === Code.Internal || mapped.code === Code.Unavailable || mapped.code === Code.Unknown) {
        logger.error(
          { rpc: `${request.service.typeName}/${request.method.name}`, err: causeOf(mapped) },
          "call failed",
        );
      }
      throw mapped;
    };
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: guardStream(response.message, fail) } : response;
    } catch (error) {
      return fail(error);
    }
  };
}

async function* guardStream<Message>(messages: AsyncIterable<Message>, fail: (error: unknown) => never) {
  try {
    yield* messages;
  } catch (error) {
    fail(error);
  }
}

/** The deepest cause, which is where the fault is. */
export function causeOf(error: unknown): unknown {
  let cause = error;
  for (let depth = 0; depth < 5 && cause instanceof Error && cause.cause !== undefined; depth++) cause = cause.cause;
  return cause;
}

/** Refuses request messages that are malformed, then those that break the protos' protovalidate rules. */
export function createValidationInterceptor(): Interceptor {
  const validator = createValidator();
  const wellFormedChecks = new Map<DescMessage, WellFormedCheck>();
  const malformed = (desc: DescMessage, message: Message) => {
    let check = wellFormedChecks.get(desc);
    if (check === undefined) {
      check = createWellFormedCheck(desc);
      wellFormedChecks.set(desc, check);
    }
    return check(message);
  };
  const check = (method: DescMethod, message: Message) => {
    const broken = malformed(method.input, message);
    if (broken.length > 0) throw refusal(broken.map((it) => ({ ...it, field: withoutBody(it.field, method) })));
    const result = validator.validate(method.input, message);
    if (result.kind === "error") throw result.error;
    if (result.kind === "invalid") throw toAppError(result.violations, method);
  };
  return (next) => (request) => {
    if (!request.stream) {
      check(request.method, request.message);
      return next(request);
    }
    return next({
      ...request,
      message: checkStream(request.message, (message) => check(request.method, message)),
    });
  };
}

async function* checkStream<Item>(messages: AsyncIterable<Item>, check: (message: Item) => void) {
  for await (const message of messages) {
    check(message);
    yield message;
  }
}

function toAppError(found: readonly Violation[], method: DescMethod): AppError {
  return refusal(found.slice(0, VIOLATIONS_MAX).map((violation) => toFieldViolation(violation, method)));
}

function refusal(violations: readonly FieldViolation[]): AppError {
  const message = violations.map((it) => (it.field ? `${it.field}: ${it.message}` : it.message)).join("; ");
  return new AppError("BAD_REQUEST", message, { violations });
}

/** Fields are named as in JSON. */
function toFieldViolation(violation: Violation, method: DescMethod): FieldViolation {
  let field = "";
  for (const part of violation.field) {
    if (part.kind === "field") field += `${field ? "." : ""}${part.jsonName}`;
    else if (part.kind === "list_sub") field += `[${part.index}]`;
    else if (part.kind === "map_sub") field += `[${JSON.stringify(part.key)}]`;
  }
  return { field: shown(withoutBody(field, method)), rule: violation.ruleId, message: violation.message };
}

/** The path without the field that is the whole REST body. */
function withoutBody(path: string, method: DescMethod): string {
  const body = hasOption(method, http) ? getOption(method, http).body : "";
  return body !== "" && path.startsWith(`${body}.`) ? path.slice(body.length + 1) : path;
}
