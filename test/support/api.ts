/** A REST client of one organization, made of fetch alone. */
import { createHmac } from "node:crypto";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The parsed JSON body, or the text where it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: answers are judged by what they hold
  readonly body: any;
}

export interface Api {
  readonly key: string;
  call(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  get(path: string): Promise<Answer>;
  post(path: string, body?: unknown): Promise<Answer>;
  patch(path: string, body: unknown): Promise<Answer>;
  delete(path: string): Promise<Answer>;
}

/** Paths are relative to `/api/v1`. A string body is sent as it is. */
export function createApi(url: string, key: string): Api {
  const call: Api["call"] = async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return await readAnswer(response);
  };
  return {
    key,
    call,
    get: (path) => call("GET", path),
    post: (path, body = {}) => call("POST", path, body),
    patch: (path, body) => call("PATCH", path, body),
    delete: (path) => call("DELETE", path),
  };
}

export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json") && text !== "";
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

/** POSTs to a receive URL as a provider would. */
export async function send(
  receiveUrl: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const response = await fetch(receiveUrl, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
  return await readAnswer(response);
}

/** The generic hub form: HMAC-SHA256 of the body keyed with the secret's text. */
export function hubSignature(secret: string, body: string | Uint8Array): Record<string, string> {
  return { "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}` };
}
