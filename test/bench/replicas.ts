/** Two processes on one database beside one. */
import { Gateway, type Webhook } from "./gateway.ts";
import { report } from "./report.ts";
import { EVENT_BYTES, forward, ROUND_MS, rateOf, receive, type Scene } from "./scene.ts";

const CONNECTIONS = 64;

/** Share of one process's rates that two together have. */
export async function measureReplicas({ gateway, silent, forwarding }: Scene): Promise<void> {
  const other = await Gateway.start(gateway.directory);
  try {
    const all = [gateway, other];
    const receiveOn = async (gateways: readonly Gateway[], webhook: Webhook) => {
      const each = gateways.map((one) =>
        receive(one, webhook, CONNECTIONS / gateways.length, EVENT_BYTES, 2 * ROUND_MS),
      );
      return (await Promise.all(each)).reduce((sum, sample) => sum + rateOf(sample), 0);
    };
    const forwardOn = async (gateways: readonly Gateway[], webhook: Webhook) => {
      const each = gateways.map((one) => forward(one, webhook, CONNECTIONS / gateways.length, 2 * ROUND_MS));
      return (await Promise.all(each)).reduce((sum, { endToEnd }) => sum + endToEnd, 0);
    };
    // The second process has just started: it warms up like the first one did.
    await receive(other, silent, CONNECTIONS);
    await forward(other, forwarding, CONNECTIONS);
    const rows = [];
    for (const [name, measure, webhook] of [
      ["receive", receiveOn, silent],
      ["end to end", forwardOn, forwarding],
    ] as const) {
      const [one, two] = [await measure([gateway], webhook), await measure(all, webhook)];
      rows.push([name, one, two, two / one]);
    }
    report(`Two processes on one database, ${CONNECTIONS} connections`, ["", "one", "two", "ratio"], rows);
  } finally {
    await other.stop();
  }
}
