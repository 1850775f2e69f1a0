import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { ApiKeyService } from "../../gen/alumia/webhooks/v1/api_key_service_pb.ts";
import type { ApiKeys } from "../core/api-keys.ts";
import { callerOf } from "./context.ts";
import { apiKeyMessage } from "./messages.ts";
import { pageFields, pageRequest } from "./page-request.ts";

/** Items of a page where no limit is asked for. */
const LIMIT_DEFAULT = 50;

export function apiKeyService(apiKeys: ApiKeys): ServiceImpl<typeof ApiKeyService> {
  return {
    async listApiKeys(request, context) {
      const page = await apiKeys.list(callerOf(context), pageRequest(request, LIMIT_DEFAULT));
      return { items: page.items.map((apiKey) => apiKeyMessage(apiKey)), ...pageFields(page) };
    },
    async createApiKey({ name, expiresAt }, context) {
      const { organizationId } = callerOf(context);
      const minted = await apiKeys.create(organizationId, name, expiresAt ? timestampDate(expiresAt) : null);
      return { apiKey: apiKeyMessage(minted.apiKey, minted.key) };
    },
    async revokeApiKey({ id }, context) {
      await apiKeys.revoke(callerOf(context), id);
      return { revoked: true };
    },
  };
}
