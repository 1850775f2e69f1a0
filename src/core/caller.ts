/** On whose behalf a call is made. */
export interface Caller {
  readonly organizationId: string;
}
