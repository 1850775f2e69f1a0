import { describe, expect, test } from "vitest";
import { checkDestinationUrl, URL_CHARACTERS_MAX, type UrlRule } from "../../src/security/url-policy.ts";
import { closedPolicy, policyOf } from "./destination-policies.ts";
import { PRIVATE_HOSTS, RESERVED_HOSTS } from "./private-spellings.ts";

function ruleOf(text: string, policy = closedPolicy): UrlRule | "ok" {
  const check = checkDestinationUrl(text, policy);
  return check.ok ? "ok" : check.rule;
}

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
  ["http://[fe80::1%eth0]/", "url.invalid"],
  ["http://[::1%25lo]/", "url.invalid"],
  ["http://[::1]%lo/", "url.invalid"],
  ["http://[v1.::1]/", "url.invalid"],
  ["http://::1/", "url.invalid"],
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
  ["http://localhost../", "url.host"],
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
  ["http://[2606:4700:5efe::1]/", "http://[2606:4700:5efe::1]/"],
  ["http://[2606:4700::300:5eff:808:808]/", "http://[2606:4700::300:5eff:808:808]/"],
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
    ["http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", everything, "url.private_address"],
    ["http://[::a9fe:a9fe]/", everything, "url.private_address"],
    ["http://[::127.0.0.1]/", everything, "url.private_address"],
    ["http://[::1]/", everything, "ok"],
    ["http://[fd12::5efe:127.0.0.1]/", everything, "url.private_address"],
    ["http://[2606:4700::200:5efe:8.8.8.8]/", everything, "url.private_address"],
    ["http://[fec0::1]/", everything, "url.private_address"],
    ["http://[64:ff9b:1::808:808]/", everything, "url.private_address"],
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
