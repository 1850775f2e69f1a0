/** What server reflection tells of a schema, looked up by name. */
import { type DescExtension, type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

export class SchemaIndex {
  /** Full names of the services. */
  readonly services: readonly string[];
  readonly #files = new Map<string, DescFile>();
  /** Which file declares a message, enum, extension, service or method. */
  readonly #symbols = new Map<string, DescFile>();
  /** Of each message: which file declares the extension with a number. */
  readonly #extensions = new Map<string, Map<number, DescFile>>();
  /** Serialized descriptors, made when first asked for. */
  readonly #bytes = new Map<DescFile, Uint8Array>();

  /** `alsoKnown` are files that no service imports: of messages that come inside google.protobuf.Any. */
  constructor(services: readonly DescService[], alsoKnown: readonly DescFile[]) {
    this.services = services.map((service) => service.typeName);
    const files = [...services.map((service) => service.file), ...alsoKnown];
    for (const file of new Set(files.flatMap((root) => [...withDependencies(root)]))) this.#addFile(file);
  }

  file(name: string): DescFile | undefined {
    return this.#files.get(name);
  }

  fileDeclaring(symbol: string): DescFile | undefined {
    return this.#symbols.get(symbol);
  }

  fileExtending(type: string, number: number): DescFile | undefined {
    return this.#extensions.get(type)?.get(number);
  }

  /** Numbers of all extensions of a message; undefined where there is no such message. */
  extensionNumbers(type: string): readonly number[] | undefined {
    const extensions = this.#extensions.get(type);
    return extensions && [...extensions.keys()];
  }

  /** The serialized FileDescriptorProtos of a file and all that it imports, each once; the file itself comes first. */
  descriptors(file: DescFile): Uint8Array[] {
    return [...withDependencies(file)].map((each) => {
      const bytes = this.#bytes.get(each) ?? toBinary(FileDescriptorProtoSchema, each.proto);
      this.#bytes.set(each, bytes);
      return bytes;
    });
  }

  #addFile(file: DescFile): void {
    this.#files.set(file.proto.name, file);
    for (const type of nestedTypes(file)) {
      this.#symbols.set(type.typeName, file);
      if (type.kind === "message") this.#extensionsOf(type.typeName);
      else if (type.kind === "extension") this.#addExtension(type, file);
      else if (type.kind === "service") {
        for (const method of type.methods) this.#symbols.set(`${type.typeName}.${method.name}`, file);
      }
    }
  }

  #addExtension({ extendee, number }: DescExtension, file: DescFile): void {
    this.#extensionsOf(extendee.typeName).set(number, file);
  }

  #extensionsOf(type: string): Map<number, DescFile> {
    const extensions = this.#extensions.get(type) ?? new Map<number, DescFile>();
    this.#extensions.set(type, extensions);
    return extensions;
  }
}

function withDependencies(file: DescFile): ReadonlySet<DescFile> {
  const files = new Set([file]);
  // A set is walked in order of insertion, through what is added on the way as well.
  for (const each of files) for (const dependency of each.dependencies) files.add(dependency);
  return files;
}
