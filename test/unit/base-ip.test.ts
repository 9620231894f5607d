import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalIp, isNetwork, limitKey, openNetworks } from '#base/ip.ts';

test('an address has one spelling: IPv4 inside IPv6 is IPv4, IPv6 is short and lower case, zones go', () => {
  for (const [text, expected] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:c000:0201', '192.0.2.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::1', '::1'],
    ['', ''],
    ['not:an:address', 'not:an:address'],
  ] as const)
    assert.equal(canonicalIp(text), expected, text);
});

test('limits count an IPv4 address, and the /64 of an IPv6 one', () => {
  for (const [address, key] of [
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::', 'fe80:0:0:0::/64'],
  ] as const)
    assert.equal(limitKey(address), key);
});

test('networks of both families, IPv4 ones also written inside IPv6', () => {
  const networks = openNetworks(['192.0.2.0/28', '198.51.100.7', '2001:db8::/32', '::ffff:203.0.113.0/120']);
  for (const inside of ['192.0.2.15', '198.51.100.7', '2001:db8:ffff::1', '203.0.113.255']) assert.ok(networks.has(inside), inside);
  for (const outside of ['192.0.2.16', '198.51.100.8', '2001:db9::1', '203.0.114.0', 'fe80::1%eth0', '', 'x']) assert.ok(!networks.has(outside), outside);
  assert.ok(openNetworks(['0.0.0.0/0']).has('203.0.113.9'));
  assert.ok(openNetworks(['::/0']).has('2001:db8::1'));
});

test('what is no network is known before it is used', () => {
  for (const text of ['192.0.2.1', '192.0.2.0/0', '::1', '::/0', '2001:db8::/128', '::ffff:1.2.3.4']) assert.ok(isNetwork(text), text);
  for (const text of ['', 'x', '192.0.2.1/33', '192.0.2.1/', '192.0.2.1/-1', '192.0.2.1/1/2', '::1/129', 'fe80::1%eth0', 'fe80::1%eth0/64', '10.0.0.0/8x'])
    assert.ok(!isNetwork(text), text);
});
