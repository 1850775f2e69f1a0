import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type Source, SourceSchema, type SourceService } from "../../gen/alumia/webhooks/v1/source_service_pb.ts";
import { getSource, listSources } from "../core/sources.ts";
import { RECEIVE_PATH } from "../core/webhook-settings.ts";
import { describeHandshake } from "../guide/handshakes.ts";
import type { FormFacts, SourceFacts } from "../signature/catalogue.ts";
import { incomingKey } from "./context.ts";
import { some } from "./messages.ts";
import { pageFields, pageRequest } from "./page-request.ts";

/** Items of a page where no limit is asked for. */
const LIMIT_DEFAULT = 100;

export function sourceService(): ServiceImpl<typeof SourceService> {
  return {
    listSources(request, context) {
      const page = listSources(pageRequest(request, LIMIT_DEFAULT));
      const origin = context.values.get(incomingKey).origin;
      return { items: page.items.map((facts) => sourceMessage(facts, origin)), ...pageFields(page) };
    },
    getSource({ name }, context) {
      return { source: sourceMessage(getSource(name), context.values.get(incomingKey).origin) };
    },
  };
}

function sourceMessage({ name, preset, forms, publicUrlRequired }: SourceFacts, origin: string): Source {
  const receiveUrl = `${origin}${RECEIVE_PATH}{webhookId}`;
  const { status = 200, body, contentType, forForms = false } = preset.success ?? {};
  return create(SourceSchema, {
    name,
    label: preset.label,
    aliases: [...(preset.aliases ?? [])],
    ...some("docUrl", preset.docUrl),
    receiveUrl,
    setup: preset.setup.map((step) => step.replaceAll("{receiveUrl}", receiveUrl)),
    secret: { ...preset.secret },
    forms: forms.map(formFields),
    bodyAuthenticated: preset.bodyAuthenticated,
    publicUrlRequired,
    handshakes: (preset.handshakes ?? []).map((handshake) => ({
      kind: handshake.kind,
      method: handshake.method,
      signed: handshake.signed,
      description: describeHandshake(handshake),
    })),
    success: { status, ...some("body", body), ...some("contentType", contentType), forForms },
    ...some("ackSeconds", preset.ackSecondsMax),
    notes: [...(preset.notes ?? [])],
  });
}

function formFields({ scheme, headers, content, toleranceSeconds, futureToleranceSeconds }: FormFacts) {
  return {
    name: scheme.name,
    kind: scheme.kind,
    headers: [...headers],
    ...some("content", content),
    ...some("toleranceSeconds", toleranceSeconds),
    ...some("futureToleranceSeconds", futureToleranceSeconds),
    eventType: [...scheme.type],
    eventId: [...scheme.id],
    repeats: scheme.repeats,
  };
}
