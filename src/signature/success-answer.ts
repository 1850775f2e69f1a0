/** What a provider wants to hear once its event is committed. */
export interface SuccessAnswer {
  readonly status: 200 | 202 | 204;
  /** The exact body. Default: our own JSON receipt, or nothing with 204. */
  readonly body?: string;
  /** Only for requests whose body is an URL-encoded form; others get our receipt. */
  readonly forForms?: true;
  /** Content type of `body`; also sent without one where the provider insists. */
  readonly contentType?: string;
}
