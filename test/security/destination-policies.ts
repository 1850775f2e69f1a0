/** Policies that the tests of the SSRF guard share. */
import { createDestinationPolicy, type Endpoint } from "../../src/security/ssrf.ts";

/** A policy that opens `cidrs` and forbids `endpoints`. */
export function policyOf(cidrs: readonly string[] = [], endpoints: readonly Endpoint[] = []) {
  return createDestinationPolicy({ allowedPrivateCidrs: cidrs, forbiddenEndpoints: () => endpoints });
}

export const closedPolicy = policyOf();
