/**
 * Ending a statement on the server, by PostgreSQL's cancel request: a connection of its own that names the session
 * (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS). The request names no
 * statement, so it ends whatever the session does when it arrives. The server closes the connection once it has
 * signalled the session, and only then may the session be given another statement.
 */
import { type Client, Connection, type ConnectionConfig } from "pg";

/** What `pg` has and its types leave out. */
interface CancelConnection extends Connection {
  connect(port: number, host: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
}

interface Session extends Client {
  readonly processID: number;
  readonly secretKey: number;
  readonly sslNegotiation: "postgres" | "direct";
}

/**
 * Asks the server to end what the client's session is doing. Resolves, never rejects, once no request can reach the
 * session any more. One that may still be on its way after `timeoutMs` would end another's statement: then the
 * client's own connection is closed.
 */
export async function cancelStatement(client: Client, timeoutMs: number): Promise<void> {
  const { processID, secretKey, ssl, sslNegotiation, host, port } = client as Session;
  const request = new Connection({ ssl, sslNegotiation } as ConnectionConfig) as CancelConnection;
  const isDirect = sslNegotiation === "direct";
  let isSent = false;
  const send = () => {
    isSent = true;
    request.cancel(processID, secretKey);
  };
  const answered = new Promise<boolean>((resolve) => {
    request.once("connect", () => {
      if (!ssl) send();
      else if (!isDirect) request.requestSsl();
    });
    request.once("sslconnect", send);
    request.once("end", () => resolve(true));
    request.on("error", () => resolve(!isSent));
    setTimeout(() => resolve(!isSent), timeoutMs).unref();
  });
  if (host.startsWith("/")) request.connect(`${host}/.s.PGSQL.${port}` as unknown as number, "");
  else request.connect(port, host);
  const isOver = await answered;
  request.stream.destroy();
  if (!isOver) client.connection.stream.destroy();
}
