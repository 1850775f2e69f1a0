import { defineEntity, p } from "@mikro-orm/core";
import { organizationFilter } from "./organization-filter.ts";

export type CircuitState = "open" | "half_open";

const LaneSchema = defineEntity({
  name: "Lane",
  tableName: "lanes",
  filters: organizationFilter,
  properties: {
    destinationId: p.uuid().primary(),
    organizationId: p.uuid(),
    /** null: closed. */
    circuit: p.text().$type<CircuitState>().nullable(),
    /** When the next probe may be made; while one is under way, when it is given up. */
    circuitUntil: p.datetime().nullable(),
    openedAt: p.datetime().nullable(),
  },
});

/** Where the due deliveries of one destination wait, and the state of its circuit. */
export class Lane extends LaneSchema.class {}
LaneSchema.setClass(Lane);
