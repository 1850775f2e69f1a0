import { describe, expect, test } from "vitest";
import { checkDestinationUrl, URL_CHARACTERS_MAX, type UrlRule } from "../../src/security/url-policy.ts";
import { closedPolicy, policyOf } from "./destination-policies.ts";

function ruleOf(text: string, policy = closedPolicy): UrlRule | "ok" {
  const check = checkDestinationUrl(text, policy);
  return check.ok ? "ok" : check.rule;
}

/** Spellings of hosts that are addresses nobody outside may have us reach. */
const PRIVATE_HOSTS = [
  // loopback
  "127.0.0.1",
  "127.1",
  "127.0.1",
  "127.255.255.254",
  "2130706433",
  "017700000001",
  "0x7f000001",
  "0x7F.1",
  "0x7f.0x0.0x0.0x1",
  "0177.0.0.1",
  "0177.0.0.01",
  "00000177.0.0.1",
  "127.0x0.1",
  "127.0.0.1.",
  "%31%32%37.0.0.1",
  "127%2e0%2e0%2e1",
  "１２７.０.０.１",
  "①②⑦.⓪.⓪.①",
  "127。0。0。1",
  "127．0．0．1",
  "127｡0｡0｡1",
  "[::1]",
  "[0:0:0:0:0:0:0:1]",
  "[0000:0000:0000:0000:0000:0000:0000:0001]",
  "[::0001]",
  "[::0.0.0.1]",
  "[::127.0.0.1]",
  // unspecified, "this network"
  "0",
  "0.0.0.0",
  "0x0",
  "00",
  "0.1.2.3",
  "[::]",
  "[0:0:0:0:0:0:0:0]",
  // private
  "10.0.0.1",
  "10.1",
  "167772161",
  "0xa000001",
  "012.0.0.1",
  "172.16.0.1",
  "172.31.255.255",
  "0xac100001",
  "192.168.0.1",
  "192.168.257",
  "3232235521",
  "0300.0250.0.1",
  // carrier-grade NAT
  "100.64.0.1",
  "100.127.255.255",
  // link-local and metadata
  "169.254.169.254",
  "169.254.170.2",
  "2852039166",
  "0xa9fea9fe",
  "0251.0376.0251.0376",
  "169.254.43518",
  "169.16689662",
  "[fe80::1]",
  "[febf::1]",
  "[fec0::1]",
  "[fd00:ec2::254]",
  "[fd20:ce::254]",
  "100.100.100.200",
  "168.63.129.16",
  "192.0.0.192",
  // IETF, test nets, benchmarking, relays
  "192.0.0.1",
  "192.0.0.170",
  "192.0.2.1",
  "198.51.100.1",
  "203.0.113.1",
  "198.18.0.1",
  "198.19.255.255",
  "192.88.99.1",
  // multicast, reserved, broadcast
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.254",
  "255.255.255.255",
  "4294967295",
  "0xffffffff",
  "[ff02::1]",
  "[ff0e::1]",
  // unique local
  "[fc00::1]",
  "[fdff:ffff::1]",
  // IPv4 inside IPv6
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[::FFFF:127.0.0.1]",
  "[0:0:0:0:0:ffff:127.0.0.1]",
  "[::ffff:10.0.0.1]",
  "[::ffff:169.254.169.254]",
  "[::ffff:a9fe:a9fe]",
  "[::ffff:8.8.8.8]",
  "[::ffff:0:127.0.0.1]",
  "[64:ff9b::127.0.0.1]",
  "[64:ff9b::7f00:1]",
  "[64:ff9b::a9fe:a9fe]",
  "[64:ff9b::8.8.8.8]",
  "[64:ff9b:1::1]",
  "[64:ff9b:1:ffff:ffff:ffff:ffff:ffff]",
  "[2002:7f00:1::]",
  "[2002:a9fe:a9fe::1]",
  "[2002:808:808::1]",
  "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
  "[2001::1]",
  // documentation, discard, segment routing, unallocated
  "[2001:db8::1]",
  "[3fff::1]",
  "[100::1]",
  "[5f00::1]",
  "[4000::1]",
  "[2001:2::1]",
  "[2001:10::1]",
];

const RESERVED_HOSTS = [
  "localhost",
  "LOCALHOST",
  "localhost.",
  "LocalHost.",
  "%6cocalhost",
  "ｌｏｃａｌｈｏｓｔ",
  "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
  "lo\u00adcalhost",
  "a.localhost",
  "a.b.localhost.",
  "db",
  "postgres",
  "intranet.",
  "printer.local",
  "printer.LOCAL",
  "printer。local",
  "vault.internal",
  "metadata.google.internal",
  "metadata.google.internal.",
  "router.home.arpa",
  "home.arpa",
  "x.test",
  "x.invalid",
  "x.example",
  "x.onion",
  "x.alt",
  "1.0.0.127.in-addr.arpa",
  "nas.lan",
  "nas.home",
  "wiki.corp",
  "wiki.intranet",
  "host.localdomain",
  "internal",
];

const REFUSED: readonly (readonly [text: string, rule: UrlRule])[] = [
  ["", "url.invalid"],
  ["example.com", "url.invalid"],
  ["//example.com", "url.invalid"],
  ["/hooks", "url.invalid"],
  ["http://", "url.invalid"],
  ["http:///example.com", "url.invalid"],
  ["http:example.com", "url.invalid"],
  ["https:\\\\example.com", "url.invalid"],
  ["http://exa mple.com", "url.invalid"],
  [" http://example.com", "url.invalid"],
  ["http://example.com\n", "url.invalid"],
  ["ht\ntp://example.com", "url.invalid"],
  ["http://127.\t0.0.1/", "url.invalid"],
  ["http://example.com/a b", "url.invalid"],
  ["http://example.com/\u0000", "url.invalid"],
  ["http://example.com\u3000/", "url.invalid"],
  ["http://256.256.256.256/", "url.invalid"],
  ["http://127.0.0.0.1/", "url.invalid"],
  ["http://1.2.3.08/", "url.invalid"],
  ["http://4294967296/", "url.invalid"],
  ["http://[fe80::1%25eth0]/", "url.invalid"],
  ["http://[::1/", "url.invalid"],
  ["http://example.com:65536/", "url.invalid"],
  ["http://example.com:-1/", "url.invalid"],
  ["http://%00/", "url.invalid"],
  ["ftp://example.com/", "url.scheme"],
  ["file:///etc/passwd", "url.scheme"],
  ["gopher://127.0.0.1:6379/_x", "url.scheme"],
  ["javascript:alert(1)", "url.scheme"],
  ["ws://example.com/", "url.scheme"],
  ["data:text/plain,x", "url.scheme"],
  ["unix:/var/run/docker.sock", "url.scheme"],
  ["http://user@example.com/", "url.userinfo"],
  ["http://user:secret@example.com/", "url.userinfo"],
  ["http://:@example.com/", "url.userinfo"],
  ["http://@example.com/", "url.userinfo"],
  ["http://example.com@127.0.0.1/", "url.userinfo"],
  ["http://127.0.0.1\\@example.com/", "url.private_address"],
  ["http://example.com/#part", "url.fragment"],
  ["http://example.com/#", "url.fragment"],
  ["http://example.com#@127.0.0.1/", "url.fragment"],
  ["http://example.com:0/", "url.port"],
  ["http://example.com:00/", "url.port"],
  ["http://a..example.com/", "url.host"],
  ["http://.example.com/", "url.host"],
  ["http://example.com../", "url.host"],
  ["http://-a.example.com/", "url.host"],
  ["http://a!b.example.com/", "url.host"],
  [`http://${"a".repeat(64)}.example.com/`, "url.host"],
  [`http://${"abcdefg.".repeat(32)}example.com/`, "url.host"],
];

const ACCEPTED: readonly (readonly [text: string, href: string])[] = [
  ["https://example.com", "https://example.com/"],
  ["HTTPS://EXAMPLE.com/Hooks?a=1&b=%20", "https://example.com/Hooks?a=1&b=%20"],
  ["http://example.com:8080/", "http://example.com:8080/"],
  ["https://example.com:443/", "https://example.com/"],
  ["https://example.com./hooks", "https://example.com/hooks"],
  ["https://bücher.example.com/", "https://xn--bcher-kva.example.com/"],
  ["https://my_host.example.com/", "https://my_host.example.com/"],
  ["https://localhost.example.com/", "https://localhost.example.com/"],
  ["https://mylocalhost.com/", "https://mylocalhost.com/"],
  ["https://internal.example.com/", "https://internal.example.com/"],
  ["https://example.com/@me", "https://example.com/@me"],
  ["http://8.8.8.8/", "http://8.8.8.8/"],
  ["http://134744072/", "http://8.8.8.8/"],
  ["http://11.0.0.1/", "http://11.0.0.1/"],
  ["http://100.63.255.255/", "http://100.63.255.255/"],
  ["http://100.128.0.0/", "http://100.128.0.0/"],
  ["http://172.15.255.255/", "http://172.15.255.255/"],
  ["http://172.32.0.0/", "http://172.32.0.0/"],
  ["http://223.255.255.255/", "http://223.255.255.255/"],
  ["http://[2606:4700:4700::1111]/", "http://[2606:4700:4700::1111]/"],
  ["http://[2A00:1450:4001:0801:0000:0000:0000:200E]:81/x", "http://[2a00:1450:4001:801::200e]:81/x"],
];

describe("checkDestinationUrl with nothing opened", () => {
  test.each(PRIVATE_HOSTS)("refuses the address %s", (host) => {
    expect(ruleOf(`http://${host}/`)).toBe("url.private_address");
    expect(ruleOf(`https://${host}:8443/a?b`)).toBe("url.private_address");
  });

  test.each(RESERVED_HOSTS)("refuses the name %s", (host) => {
    expect(ruleOf(`http://${host}/`)).toBe("url.reserved_name");
  });

  test.each(REFUSED)("refuses %j with %s", (text, rule) => {
    expect(ruleOf(text)).toBe(rule);
  });

  test.each(ACCEPTED)("accepts %s as %s", (text, href) => {
    const check = checkDestinationUrl(text, closedPolicy);
    expect(check.ok && check.url.href).toBe(href);
  });

  test("the table has more than a hundred spellings, none twice", () => {
    const hosts = [...PRIVATE_HOSTS, ...RESERVED_HOSTS];
    expect(new Set(hosts).size).toBe(hosts.length);
    expect(hosts.length).toBeGreaterThan(100);
  });

  test("the length is bounded as given and as encoded", () => {
    const base = "https://example.com/";
    expect(ruleOf(base + "a".repeat(URL_CHARACTERS_MAX - base.length))).toBe("ok");
    expect(ruleOf(base + "a".repeat(URL_CHARACTERS_MAX - base.length + 1))).toBe("url.length");
    expect(ruleOf(base + "é".repeat(400))).toBe("url.length");
    expect(ruleOf(base + "é".repeat(300))).toBe("ok");
  });

  test("no message repeats the URL", () => {
    for (const text of ["http://user:secret@example.com/", "http://10.0.0.1/", "http://vault.internal/"]) {
      const check = checkDestinationUrl(text, closedPolicy);
      expect(check.ok ? "" : check.message).not.toMatch(/secret|10\.0|vault/);
      expect(check.ok).toBe(false);
    }
  });
});

describe("checkDestinationUrl with ranges opened", () => {
  const loopback4 = policyOf(["127.0.0.0/8"]);
  const loopback6 = policyOf(["::1/128"]);
  const ten = policyOf(["10.0.0.0/8"]);
  const everything = policyOf(["0.0.0.0/0", "::/0"]);

  test.each([
    ["http://127.0.0.1/", loopback4, "ok"],
    ["http://2130706433/", loopback4, "ok"],
    ["http://localhost:3000/", loopback4, "ok"],
    ["http://app.localhost/", loopback4, "ok"],
    ["http://[::1]/", loopback4, "url.private_address"],
    ["http://[::ffff:127.0.0.1]/", loopback4, "url.private_address"],
    ["http://10.0.0.1/", loopback4, "url.private_address"],
    ["http://[::1]/", loopback6, "ok"],
    ["http://localhost/", loopback6, "ok"],
    ["http://127.0.0.1/", loopback6, "url.private_address"],
    ["http://10.255.0.1/", ten, "ok"],
    ["http://11.0.0.1/", ten, "ok"],
    ["http://172.16.0.1/", ten, "url.private_address"],
    ["http://localhost/", ten, "url.reserved_name"],
    ["http://consumer/", ten, "ok"],
    ["http://consumer.internal/", ten, "ok"],
    ["http://nas.local/", ten, "ok"],
    ["http://router.home.arpa/", ten, "ok"],
    ["http://metadata.google.internal/", ten, "url.reserved_name"],
    ["http://x.onion/", ten, "url.reserved_name"],
    ["http://x.invalid/", ten, "url.reserved_name"],
    ["http://1.0.0.10.in-addr.arpa/", ten, "url.reserved_name"],
    ["http://192.168.1.1/", everything, "ok"],
    ["http://[fd12::1]/", everything, "ok"],
    ["http://0.0.0.0/", everything, "url.private_address"],
    ["http://[::]/", everything, "url.private_address"],
    ["http://169.254.169.254/", everything, "url.private_address"],
    ["http://169.254.1.1/", everything, "url.private_address"],
    ["http://[fe80::1]/", everything, "url.private_address"],
    ["http://[fd00:ec2::254]/", everything, "url.private_address"],
    ["http://[::ffff:169.254.169.254]/", everything, "url.private_address"],
    ["http://[64:ff9b::a9fe:a9fe]/", everything, "url.private_address"],
    ["http://100.100.100.200/", everything, "url.private_address"],
    ["http://168.63.129.16/", everything, "url.private_address"],
    ["http://224.0.0.1/", everything, "url.private_address"],
    ["http://255.255.255.255/", everything, "url.private_address"],
    ["http://[2002:a9fe:a9fe::1]/", everything, "url.private_address"],
  ] as const)("%s", (text, policy, expected) => {
    expect(ruleOf(text, policy)).toBe(expected);
  });

  test("our own endpoints stay closed, at their port only", () => {
    const policy = policyOf(
      ["127.0.0.0/8"],
      [
        { address: "127.0.0.1", port: 8080 },
        { address: "db.corp", port: 5432 },
      ],
    );
    expect(ruleOf("http://127.0.0.1:8080/", policy)).toBe("url.private_address");
    expect(ruleOf("http://localhost:8080/", policy)).toBe("url.private_address");
    expect(ruleOf("http://127.0.0.1:8081/", policy)).toBe("ok");
    expect(ruleOf("http://localhost:8081/", policy)).toBe("ok");
    expect(ruleOf("http://db.corp:5432/", policy)).toBe("url.private_address");
    expect(ruleOf("http://DB.corp.:5432/", policy)).toBe("url.private_address");
    expect(ruleOf("http://db.corp:8080/", policy)).toBe("ok");
  });
});
