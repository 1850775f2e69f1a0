import type { FilterDef } from "@mikro-orm/core";

/** Parameter of the `org` filter, set once on each fork. */
export interface OrganizationScope {
  readonly organizationId?: string;
}

/**
 * Confines every read of a tenant's entity to one organization. A fork whose scope was never set fails closed:
 * the condition throws instead of matching everything.
 */
export const organizationFilter = {
  org: {
    name: "org",
    default: true,
    cond: (scope: OrganizationScope) => {
      if (!scope?.organizationId) throw new Error("a tenant's entity was read without an organization");
      return { organizationId: scope.organizationId };
    },
  },
} satisfies Record<string, FilterDef>;
