/**
 * Prints `buf/validate/validate.proto` from the descriptor that `@bufbuild/protovalidate` ships, so that buf
 * can compile our protos offline against exactly the rules that the service evaluates.
 *
 * Rule definitions in field options are left out: the runtime reads those from the package itself.
 * Run with `npm run vendor:protos` after an upgrade of the package.
 */
import { writeFileSync } from "node:fs";
import { type DescEnum, type DescExtension, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { file_buf_validate_validate as file } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

const lines: string[] = [];
const emit = (depth: number, text: string) => lines.push("  ".repeat(depth) + text);

function typeName(field: DescField | DescExtension): string {
  const item = field.fieldKind === "list" ? field.listKind : field.fieldKind;
  if (field.fieldKind === "map") {
    const value = field.message ? `.${field.message.typeName}` : ScalarType[field.scalar as number]?.toLowerCase();
    return `map<${ScalarType[field.mapKey]?.toLowerCase()}, ${value}>`;
  }
  if (item === "message") return `.${field.message?.typeName}`;
  if (item === "enum") return `.${field.enum?.typeName}`;
  return ScalarType[field.scalar as number]?.toLowerCase() ?? "bytes";
}

function printField(depth: number, field: DescField | DescExtension): void {
  const bare = field.fieldKind === "map" || (field.kind === "field" && field.oneof !== undefined);
  const label = bare ? "" : field.fieldKind === "list" ? "repeated " : "optional ";
  emit(depth, `${label}${typeName(field)} ${field.name} = ${field.number};`);
}

function printEnum(depth: number, desc: DescEnum): void {
  emit(depth, `enum ${desc.name} {`);
  for (const value of desc.values) emit(depth + 1, `${value.name} = ${value.number};`);
  emit(depth, "}");
}

function printMessage(depth: number, desc: DescMessage): void {
  emit(depth, `message ${desc.name} {`);
  for (const member of desc.members) {
    if (member.kind === "field") {
      printField(depth + 1, member);
      continue;
    }
    emit(depth + 1, `oneof ${member.name} {`);
    for (const field of member.fields) printField(depth + 2, field);
    emit(depth + 1, "}");
  }
  for (const nested of desc.nestedEnums) printEnum(depth + 1, nested);
  for (const nested of desc.nestedMessages) printMessage(depth + 1, nested);
  for (const range of desc.proto.extensionRange) {
    const end = range.end >= 536870912 ? "max" : String(range.end - 1);
    emit(depth + 1, `extensions ${range.start} to ${end};`);
  }
  emit(depth, "}");
}

emit(0, "// Printed from the descriptor in @bufbuild/protovalidate by third_party/print-validate-proto.ts.");
emit(0, "// Copyright 2023-2026 Buf Technologies, Inc. Licensed under the Apache License, Version 2.0.");
emit(0, 'syntax = "proto2";');
emit(0, `package ${file.proto.package};`);
for (const name of file.proto.dependency) emit(0, `import "${name}";`);
for (const desc of file.enums) printEnum(0, desc);
for (const desc of file.messages) printMessage(0, desc);
for (const extension of file.extensions) {
  emit(0, `extend .${extension.extendee.typeName} {`);
  printField(1, extension);
  emit(0, "}");
}
writeFileSync(new URL("./proto/buf/validate/validate.proto", import.meta.url), `${lines.join("\n")}\n`);
