import { defineEntity, p } from "@mikro-orm/core";
import type { HeaderList } from "./event.ts";
import { organizationFilter } from "./organization-filter.ts";

const ReceiveTraceSchema = defineEntity({
  name: "ReceiveTrace",
  tableName: "receive_traces",
  filters: organizationFilter,
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    webhookId: p.uuid(),
    /** The check that refused it. */
    check: p.text().name("check_name"),
    receivedAt: p.datetime(),
    statusCode: p.integer(),
    reason: p.text(),
    method: p.text(),
    remoteAddress: p.text(),
    headers: p.json<HeaderList>(),
    /** Its beginning; null where it was not read, or holds a credential. */
    body: p.blob().nullable(),
    bodyTruncated: p.boolean(),
    /** Of the whole body, bytes; null where that is not known. */
    size: p.integer().nullable(),
    /** Requests that the same check refused and that were not kept. */
    further: p.bigint("number"),
  },
});

/** A request to a webhook that was answered without becoming an event. */
export class ReceiveTrace extends ReceiveTraceSchema.class {}
ReceiveTraceSchema.setClass(ReceiveTrace);
