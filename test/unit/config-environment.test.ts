// Keys from the environment: whose variables they are, and what their text becomes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromEnvironment } from '#config/environment.ts';

test('text becomes what the key takes: numbers, lists, durations, tables of a list', () => {
  const { table, names, mistakes } = fromEnvironment(
    {
      POSTERN_HTTP__PORT: '8080',
      POSTERN_INBOUND__DOMAINS: 'a.example, b.example',
      POSTERN_QUEUE__MAX_AGE: '2d',
      POSTERN_LISTENER: '[{"profile":"mx"}]',
      POSTERN_LISTENER__0__PORT: '2500',
      POSTERN_LISTENER__0__PROXY_PROTOCOL: '10.0.0.0/8,192.0.2.1',
      POSTERN_CONFIG: 'not a key',
      POSTERN_DATA: 'nor this',
      PATH: '/bin',
    },
    { http: { port: 1, address: '::1' } },
  );
  assert.deepEqual(mistakes, []);
  assert.deepEqual(table, {
    http: { port: 8080, address: '::1' },
    inbound: { domains: ['a.example', 'b.example'] },
    queue: { max_age: '2d' },
    listener: [{ profile: 'mx', port: 2500, proxy_protocol: ['10.0.0.0/8', '192.0.2.1'] }],
  });
  assert.equal(names.get('http.port'), 'POSTERN_HTTP__PORT');
});

test('what is no key is told, but not what Kubernetes and Docker set for a service of our name', () => {
  const linked = {
    POSTERN_SERVICE_HOST: '10.0.0.1',
    POSTERN_SERVICE_PORT: '587',
    POSTERN_SERVICE_PORT_SUBMISSION: '587',
    POSTERN_PORT: 'tcp://10.0.0.1:587',
    POSTERN_PORT_587_TCP: 'tcp://10.0.0.1:587',
    POSTERN_PORT_587_TCP_PROTO: 'tcp',
    POSTERN_PORT_587_TCP_PORT: '587',
    POSTERN_PORT_587_TCP_ADDR: '10.0.0.1',
  };
  assert.deepEqual(fromEnvironment(linked, {}), { table: {}, names: new Map(), mistakes: [] });
  for (const name of ['POSTERN_HTTP__PROT', 'POSTERN_PORTS', 'POSTERN_SERVICE', 'POSTERN_HTTP_PORT']) assert.equal(fromEnvironment({ [name]: '1' }, {}).mistakes.length, 1, name);
});
