/** Calling an endpoint's implementation and sending what it answers. */
import type { Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import type { CallContext } from "../call/context.ts";
import { invokeServerStream, invokeUnary, type ServerStreamingSpec } from "../call/invoke.ts";
import {
  type AnswerHeaders,
  breakOff,
  isGone,
  passedHeaders,
  releaseBody,
  sendAnswer,
  startHead,
  writeChunk,
} from "./answer.ts";
import type { Endpoint, ResponseForm } from "./endpoint.ts";
import type { Exchange } from "./http-exchange.ts";
import { type LocalMessage, localOf } from "./message-access.ts";

/** A call that is ready to be made. */
export interface Call {
  readonly exchange: Exchange;
  readonly endpoint: Endpoint;
  readonly context: CallContext;
  readonly message: LocalMessage;
  readonly interceptors: readonly Interceptor[];
  readonly successStatus: number;
  /** The body of an error that comes after the head of a streamed answer. */
  readonly encodeErrorBody: (error: unknown) => unknown;
}

const encoder = new TextEncoder();

/** Makes the call and answers. Rejects only where nothing has been sent yet. */
export async function answerCall(call: Call): Promise<void> {
  const { spec } = call.endpoint;
  if (spec.kind === "server_streaming") {
    await answerStream(call, spec);
    return;
  }
  const input = call.message as unknown as Message;
  const message = localOf(await invokeUnary(spec, call.interceptors, call.context, input));
  const { headers, body } = unaryBody(call.endpoint.form, message);
  sendAnswer(call.exchange, { status: call.successStatus, headers: { ...headers, ...ownHeaders(call) }, body });
}

function ownHeaders(call: Call): AnswerHeaders {
  return passedHeaders(call.context.headersSet);
}

function unaryBody(form: ResponseForm, message: LocalMessage): { headers: AnswerHeaders; body: Uint8Array | string } {
  if (form.kind === "json") {
    return { headers: { "content-type": "application/json" }, body: JSON.stringify(form.write(message)) };
  }
  const { contentType, data } = form.pick(message);
  return { headers: rawHeaders(contentType), body: data };
}

/** Raw bytes may be a third party's: a browser must not run them as a page of this origin. */
function rawHeaders(contentType: string): AnswerHeaders {
  return { "content-type": contentType, "content-security-policy": "default-src 'none'; sandbox" };
}

/** The head waits for the first message, so that an error before it is an ordinary one. */
async function answerStream(call: Call, spec: ServerStreamingSpec): Promise<void> {
  const { exchange, endpoint, context } = call;
  const messages = invokeServerStream(spec, call.interceptors, context, call.message as unknown as Message);
  try {
    const first = await context.untilAborted(() => messages.next());
    const headers = { ...streamHeaders(endpoint.form, first), ...ownHeaders(call) };
    startHead(exchange, call.successStatus, { ...headers, "x-content-type-options": "nosniff" });
    if (exchange.request.method !== "HEAD") {
      await writeStream(call, messages, first);
    }
    exchange.response.end();
    releaseBody(exchange);
  } finally {
    // Not awaited: an implementation that is still waiting for something ends when its signal says so.
    messages.return().catch(() => undefined);
  }
}

function streamHeaders(form: ResponseForm, first: IteratorResult<Message>): AnswerHeaders {
  if (form.kind === "json") {
    return { "content-type": "application/x-ndjson" };
  }
  return rawHeaders(form.pick(first.done === true ? {} : localOf(first.value)).contentType);
}

async function writeStream(
  call: Call,
  messages: AsyncIterator<Message>,
  first: IteratorResult<Message>,
): Promise<void> {
  const { exchange, endpoint, context } = call;
  try {
    for (let next = first; next.done !== true; next = await context.untilAborted(() => messages.next())) {
      if (!writeChunk(exchange, streamChunk(endpoint.form, localOf(next.value)))) {
        await context.untilAborted(() => drained(exchange));
      }
    }
  } catch (error) {
    const body = call.encodeErrorBody(error);
    if (endpoint.form.kind === "json" && !isGone(exchange.response)) {
      writeChunk(exchange, line(body));
    } else {
      breakOff(exchange);
    }
  }
}

function streamChunk(form: ResponseForm, message: LocalMessage): Uint8Array {
  return form.kind === "json" ? line({ result: form.write(message) }) : form.pick(message).data;
}

function line(value: unknown): Uint8Array {
  return encoder.encode(`${JSON.stringify(value)}\n`);
}

function drained({ response }: Exchange): Promise<void> {
  return new Promise((resolve) => {
    response.once("drain", resolve);
  });
}
