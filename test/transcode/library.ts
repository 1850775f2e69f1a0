/** The descriptors of proto/transcode/test/v1/library.proto, built into library.binpb as its header says. */
import { readFileSync } from "node:fs";
import {
  createFileRegistry,
  type DescMessage,
  type DescService,
  type FileRegistry,
  fromBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const PACKAGE = "transcode.test.v1";

export const registry: FileRegistry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, readFileSync(new URL("library.binpb", import.meta.url))),
);

export function messageType(name: string): DescMessage {
  return found(registry.getMessage(`${PACKAGE}.${name}`), name);
}

export function serviceType(name: string): DescService {
  return found(registry.getService(`${PACKAGE}.${name}`), name);
}

function found<T>(desc: T | undefined, name: string): T {
  if (desc === undefined) {
    throw new Error(`library.binpb has no ${name}`);
  }
  return desc;
}

/** The error that a function throws; fails the test if it throws none. */
export function errorOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("expected an error, none was thrown");
}
