/** Bounds of delivering, and of telling what came of it, that stand in LIMITS. */

export const DELIVERY_LIMITS = {
  /** Completions: rows of one batch. */
  completeBatchRowsMax: 256,
  /** Response bytes and header bytes kept with an attempt. */
  responseBodyBytesMax: 16 * 1024,
  responseHeaderBytesMax: 8 * 1024,
  /** OAuth2: a fetch of a token and its answer, destinations whose tokens are held, rest after a failure, milliseconds. */
  oauth2TimeoutMs: 10_000,
  oauth2AnswerBytesMax: 32 * 1024,
  oauth2DestinationsMax: 10_000,
  oauth2RestMs: 1_000,
  /** Longest wait between two tries that a delivery run holds in memory, milliseconds. */
  quickRetryDelayMsMax: 10_000,
  /** Deliveries that one worker holds in memory, under way or in a quick wait. */
  deliveryRunsMax: 2_000,
  /** Rows of one claim. */
  claimBatchRowsMax: 100,
  /** Due rows that are moved to lanes at once; rows that one lane gives at once. */
  parkRowsMax: 250,
  laneRowsMax: 100,
  /** Longest sleep of the claim loop, milliseconds. */
  claimIntervalMsMax: 1_000,
  /** Share of the attempts under way, and of those that wait in memory, that one destination may have. */
  destinationShare: 0.5,
  /** Deliveries that wait in memory for an attempt: number, and how long they may have to at the present pace, milliseconds. */
  deliveryLineMax: 1_024,
  deliveryLineMs: 250,
  /**
   * Circuits: attempts and the share of failed ones that open one, counted by each process in two stretches of this
   * length; how many times its first opening one may be open at most; destinations that are counted.
   */
  circuitAttemptsMin: 20,
  circuitFailureShare: 0.5,
  circuitWindowMs: 30_000,
  circuitOpeningsMax: 10,
  circuitDestinationsMax: 10_000,
  /** Bytes of bodies that a worker holds, and of one that a claim brings along. */
  deliveryBytesMax: 128 * 1024 * 1024,
  deliverySmallBytesMax: 64 * 1024,
  /** Notices that one step makes operational events of; those of one webhook and type told one by one in a minute. */
  noticeBatchRows: 500,
  noticesPerMinuteMax: 10,
} as const;
