import { defineEntity, p } from "@mikro-orm/core";
import { organizationFilter } from "./organization-filter.ts";

const ApiKeySchema = defineEntity({
  name: "ApiKey",
  tableName: "api_keys",
  filters: organizationFilter,
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    name: p.text(),
    prefix: p.text(),
    hash: p.blob().lazy(),
    createdAt: p.datetime(),
    lastUsedAt: p.datetime().nullable(),
    expiresAt: p.datetime().nullable(),
    revokedAt: p.datetime().nullable(),
  },
});

/** A credential of an organization; only the SHA-256 of its text is kept. */
export class ApiKey extends ApiKeySchema.class {}
ApiKeySchema.setClass(ApiKey);
