/** A DNS server (RFC 1035) on UDP whose answers the test decides, and a resolver that asks it and nobody else. */
import { createSocket } from "node:dgram";
import { type LookupAddress, Resolver as SystemClient } from "node:dns";
import type { AddressInfo } from "node:net";
import ipaddr from "ipaddr.js";
import type { Resolver } from "../../src/security/ssrf.ts";

export interface DnsQuestion {
  readonly name: string;
  readonly type: "A" | "AAAA";
}

/** Addresses of both families (each question gets its own), an alias before them, or an error; null: no answer at all. */
export type DnsAnswer =
  | { readonly addresses: readonly string[]; readonly alias?: string }
  | { readonly error: "SERVFAIL" | "NXDOMAIN" | "REFUSED" }
  | null;

export interface DnsServer {
  /** Every question in the order it came. */
  readonly questions: readonly DnsQuestion[];
  /** Resolves names through this server alone, both families at once. */
  readonly resolver: Resolver;
  close(): Promise<void>;
}

const RCODES = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const;
const TYPES = { A: 1, CNAME: 5, AAAA: 28 } as const;

/** Listens on a free port of 127.0.0.1. `nth` counts the questions of that name and type, from 1. Nothing may be cached. */
export async function startDnsServer(answer: (question: DnsQuestion, nth: number) => DnsAnswer): Promise<DnsServer> {
  const questions: DnsQuestion[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (query, peer) => {
    const { question, end } = readQuestion(query);
    questions.push(question);
    const nth = questions.filter((one) => one.name === question.name && one.type === question.type).length;
    const reply = answer(question, nth);
    if (reply !== null) socket.send(encodeReply(query.subarray(0, end), question, reply), peer.port, peer.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const client = new SystemClient({ timeout: 500, tries: 1 });
  client.setServers([`127.0.0.1:${(socket.address() as AddressInfo).port}`]);
  return {
    questions,
    resolver: (hostname, _options, callback) => void lookUp(client, hostname).then(...settling(callback)),
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function settling(callback: Parameters<Resolver>[2]) {
  const found = (addresses: readonly LookupAddress[]) => callback(null, addresses);
  return [found, (error: Error) => callback(error, [])] as const;
}

/** The addresses of both families; fails where neither has one, as a system's resolver does. */
async function lookUp(client: SystemClient, hostname: string): Promise<LookupAddress[]> {
  const ask = (family: 4 | 6) =>
    new Promise<LookupAddress[]>((resolve, reject) => {
      const done = (error: Error | null, addresses: string[] = []) =>
        error ? reject(error) : resolve(addresses.map((address) => ({ address, family })));
      if (family === 4) client.resolve4(hostname, done);
      else client.resolve6(hostname, done);
    });
  const [ipv4, ipv6] = await Promise.allSettled([ask(4), ask(6)]);
  const found = [ipv4, ipv6].flatMap((one) => (one.status === "fulfilled" ? one.value : []));
  if (found.length === 0 && ipv4.status === "rejected") throw ipv4.reason;
  return found;
}

function readQuestion(query: Buffer): { question: DnsQuestion; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length).toLowerCase());
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1) === TYPES.AAAA ? "AAAA" : "A";
  return { question: { name: labels.join("."), type }, end: at + 5 };
}

function encodeReply(query: Buffer, question: DnsQuestion, answer: NonNullable<DnsAnswer>): Buffer {
  const head = Buffer.from(query);
  const records = "error" in answer ? [] : recordsOf(question, answer);
  head.writeUInt16BE(0x8180 | ("error" in answer ? RCODES[answer.error] : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, ...records]);
}

function recordsOf(
  question: DnsQuestion,
  { addresses, alias }: { addresses: readonly string[]; alias?: string },
): Buffer[] {
  const owner = alias ?? question.name;
  const family = question.type === "A" ? "ipv4" : "ipv6";
  const own = addresses.map((address) => ipaddr.parse(address)).filter((address) => address.kind() === family);
  return [
    ...(alias === undefined ? [] : [record(question.name, TYPES.CNAME, encodeName(alias))]),
    ...own.map((address) => record(owner, TYPES[question.type], Buffer.from(address.toByteArray()))),
  ];
}

function record(name: string, type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(0, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(name), fixed, data]);
}

function encodeName(name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, "latin1")]));
  return Buffer.concat([...labels, Buffer.of(0)]);
}
