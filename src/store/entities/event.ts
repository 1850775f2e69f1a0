import { defineEntity, p } from "@mikro-orm/core";
import { organizationFilter } from "./organization-filter.ts";

/** Header names and values in the order they came. */
export type HeaderList = [name: string, value: string][];

const EventSchema = defineEntity({
  name: "Event",
  tableName: "events",
  filters: organizationFilter,
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    webhookId: p.uuid(),
    type: p.text().nullable(),
    sourceEventId: p.text().nullable(),
    sourceEventIdReused: p.boolean(),
    status: p.text().$type<"received" | "filtered">(),
    verified: p.boolean(),
    scheme: p.text(),
    synthetic: p.boolean(),
    contentType: p.text().nullable(),
    size: p.integer(),
    receivedAt: p.datetime(),
    headers: p.json<HeaderList>().lazy(),
    body: p.blob().lazy(),
  },
});

/** One recorded inbound request. */
export class Event extends EventSchema.class {}
EventSchema.setClass(Event);
