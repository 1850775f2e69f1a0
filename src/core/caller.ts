/** Who makes a call: an API key of one organization. */
export interface Caller {
  readonly organizationId: string;
  readonly apiKeyId: string;
}
