/** The server's settings, given on its command line so that they always are what this code says. */

/** Durable first, sized for one small machine. PostgreSQL 18, chapter 19. */
const SETTINGS: Readonly<Record<string, string>> = {
  fsync: "on",
  full_page_writes: "on",
  synchronous_commit: "on",
  // No replica reads this log; crash recovery needs no more than this.
  wal_level: "minimal",
  max_wal_senders: "0",
  // pglz: the packaged build knows neither lz4 nor zstd.
  wal_compression: "on",
  max_wal_size: "2GB",
  checkpoint_timeout: "15min",
  shared_buffers: "128MB",
  max_connections: "100",
  random_page_cost: "1.1",
  jit: "off",
  timezone: "UTC",
  log_timezone: "UTC",
  unix_socket_permissions: "0700",
  password_encryption: "scram-sha-256",
  // Clients get their errors themselves; statements and row contents stay out of the log, which so stays small.
  log_min_messages: "log",
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
  log_checkpoints: "off",
  log_parameter_max_length: "0",
  logging_collector: "off",
};

/** `-c name=value` arguments: ours, then the caller's, then where to listen (which nobody overrides). */
export function settingArguments(extra: Readonly<Record<string, string>>, listen: Readonly<Record<string, string>>) {
  const all = { ...SETTINGS, ...extra, ...listen };
  return Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}
