/** Subscriptions with the clients that front ends use: `graphql-ws` and `graphql-sse`, against the server at `QUIPU_URL`. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import WebSocket from 'ws';
import { changeUntil, readConfig, server } from './browser.mjs';

const CHANGES = 'subscription { changes { seq operation type id } }';
const socketUrl = new URL('/graphql', server).href.replace(/^http/, 'ws');
let tokens;

before(async () => {
  const { tenants } = await readConfig();
  tokens = Object.fromEntries(tenants.map(({ name, token }) => [name, token]));
});

/** Subscribes; collects answers until `stop()`. `ended` settles as the sink does. */
function collect(client, query) {
  const answers = [];
  let stop;
  const ended = new Promise((resolve, reject) => {
    stop = client.subscribe({ query }, { next: (answer) => answers.push(answer), error: reject, complete: resolve });
  });
  ended.catch(() => {}); // looked at by the test, later
  return { answers, ended, stop };
}

async function until(condition, what) {
  for (let waited = 0; waited < 30_000; waited += 20) {
    if (condition()) return;
    await sleep(20);
  }
  assert.fail(`in vain: ${what}`);
}

/** Changes a device until an event of it arrives. */
async function provoke(answers) {
  const id = await changeUntil(tokens.cryox, (id) => answers.some(({ data }) => data?.changes.id === id));
  const answer = answers.find(({ data }) => data?.changes.id === id);
  assert.equal(answer.errors, undefined);
  assert.equal(answer.data.changes.type, 'Device');
  assert.match(answer.data.changes.operation, /update/i);
  assert.ok(Number(answer.data.changes.seq) > 0);
}

describe('graphql-ws', () => {
  const connect = (token, options) =>
    createWsClient({
      url: socketUrl,
      webSocketImpl: WebSocket,
      connectionParams: token ? { authorization: `Bearer ${token}` } : undefined,
      retryAttempts: 0,
      ...options,
    });

  test('receives the change of a mutation and completes cleanly', async () => {
    const closed = Promise.withResolvers ? Promise.withResolvers() : withResolvers();
    const client = connect(tokens.cryox, { on: { closed: closed.resolve } });
    const { answers, ended, stop } = collect(client, CHANGES);
    await provoke(answers);
    stop();
    await ended;
    const { code, wasClean } = await closed.promise;
    assert.equal(code, 1000);
    assert.equal(wasClean, true);
    await client.dispose();
  });

  test('two subscriptions share a connection, and one ends without the other', async () => {
    const client = connect(tokens.cryox);
    const first = collect(client, CHANGES);
    const second = collect(client, CHANGES);
    await provoke(second.answers);
    await until(() => first.answers.length > 0, 'an event in the first subscription');
    first.stop();
    await first.ended;
    const seen = first.answers.length;
    second.answers.length = 0;
    await provoke(second.answers);
    assert.equal(first.answers.length, seen);
    await client.dispose();
  });

  test('runs a query too, once', async () => {
    const client = connect(tokens.cryox);
    const { answers, ended } = collect(client, '{ __typename }');
    await ended;
    assert.deepEqual(answers.map(({ data }) => data), [{ __typename: 'Query' }]);
    await client.dispose();
  });

  test('another tenant hears nothing', async () => {
    const stranger = connect(tokens.library);
    const { answers } = collect(stranger, CHANGES);
    const client = connect(tokens.cryox);
    const own = collect(client, CHANGES);
    await provoke(own.answers);
    await sleep(300); // long enough for an event that should not come
    assert.deepEqual(answers, []);
    await stranger.dispose();
    await client.dispose();
  });

  test('a query that does not validate is an error of the operation', async () => {
    const client = connect(tokens.cryox);
    const { ended } = collect(client, 'subscription { nobodyHasThisField }');
    await assert.rejects(ended, (errors) => {
      assert.ok(Array.isArray(errors), 'a list of GraphQL errors');
      assert.match(errors[0].message, /nobodyHasThisField/);
      return true;
    });
    await client.dispose();
  });

  for (const [what, token] of [['a wrong token', 'not.a.token'], ['no token', undefined]]) {
    test(`${what} is refused with 4401 or 4403`, async () => {
      const client = connect(token);
      const { answers, ended } = collect(client, CHANGES);
      await assert.rejects(ended, ({ code }) => code === 4401 || code === 4403);
      assert.deepEqual(answers, []);
      await client.dispose();
    });
  }
});

describe('graphql-sse', () => {
  const connect = (token, options) =>
    createSseClient({
      url: new URL('/graphql', server).href,
      headers: token ? { authorization: `Bearer ${token}` } : {},
      retryAttempts: 0,
      ...options,
    });

  test('receives the change of a mutation and completes cleanly', async () => {
    const client = connect(tokens.cryox);
    const { answers, ended, stop } = collect(client, CHANGES);
    await provoke(answers);
    stop();
    await ended;
    client.dispose();
  });

  test('runs a query too, once', async () => {
    const client = connect(tokens.cryox);
    const { answers, ended } = collect(client, '{ __typename }');
    await ended;
    assert.deepEqual(answers.map(({ data }) => data), [{ __typename: 'Query' }]);
    client.dispose();
  });

  test('a wrong token is refused', async () => {
    const client = connect('not.a.token');
    const { answers, ended } = collect(client, CHANGES);
    await assert.rejects(ended);
    assert.deepEqual(answers, []);
    client.dispose();
  });

  test('speaks the event stream of the protocol', async () => {
    const response = await fetch(new URL('/graphql', server), {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${tokens.cryox}` },
      body: JSON.stringify({ query: '{ __typename }' }),
    });
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^text\/event-stream/);
    const text = await response.text();
    assert.match(text, /^event: next\r?\ndata: .*"__typename":\s*"Query"/m);
    assert.match(text, /^event: complete\r?\n/m);
  });
});

function withResolvers() {
  let resolve;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
