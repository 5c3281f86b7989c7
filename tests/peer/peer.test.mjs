// Quipu and the Neo4j GraphQL Library, asked the same of the same database. What is compared, and how: README.md beside this file.
//
// PEER_NEO4J    the database, with user and password
// PEER_QUIPU    the gateway's GraphQL endpoint, which serves definitions.graphql of that database to the tenant "peer"
// PEER_SECRET   the key that both check tokens with

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { cases } from './cases.mjs';
import { comparable } from './compare.mjs';
import { dump, reset, seeding } from './data.mjs';
import { exceptions } from './exceptions.mjs';
import { driverOf, serve } from './server.mjs';

const { PEER_NEO4J, PEER_QUIPU, PEER_SECRET } = process.env;
const definitions = readFileSync(new URL('definitions.graphql', import.meta.url), 'utf8');
const driver = driverOf(PEER_NEO4J);
const session = driver.session();
const listed = exceptions();
const all = cases();
let peer;

before(async () => {
  peer = await serve({ definitions, driver, secret: PEER_SECRET });
  await seed();
  await reset(session);
});
after(async () => {
  await peer?.stop();
  await session.close();
  await driver.close();
});

test('every exception is one of a case', () => {
  const names = new Set(all.map(({ name }) => name));
  assert.deepEqual([...listed.keys()].filter((name) => !names.has(name)), []);
});

test('there are at least 150 queries and 40 mutations', () => {
  const count = (kind) => all.filter((one) => one.kind === kind).length;
  assert.ok(count('query') >= 150 && count('mutation') >= 40, `${count('query')} queries, ${count('mutation')} mutations`);
});

describe('queries', { concurrency: 4 }, () => {
  for (const one of all.filter(({ kind }) => kind === 'query')) {
    test(`${one.file} ${one.name}`, async () => {
      const [quipu, library] = await Promise.all([PEER_QUIPU, peer.url].map((url) => answers(url, one)));
      check(one, quipu, library);
    });
  }
});

// Each from the same state, one after the other, and what it leaves behind is compared as well.
describe('mutations', () => {
  for (const one of all.filter(({ kind }) => kind === 'mutation')) {
    test(`${one.file} ${one.name}`, async () => {
      const before = await dump(session);
      const quipu = { ...(await answers(PEER_QUIPU, one)), left: changes(before, await dump(session)) };
      if (quipu.left.gone.length || quipu.left.come.length) {
        await seed();
        assert.deepEqual(await dump(session), before, 'the gateway does not make the graph that the database is reset to');
        await reset(session);
      }
      const library = { ...(await answers(peer.url, one)), left: changes(before, await dump(session)) };
      if (library.left.gone.length || library.left.come.length) await reset(session);
      check(one, quipu, library);
    });
  }
});

/** Equal, or different and listed. */
function check({ name, refused }, { told: ours, ...quipu }, { told: theirs, ...library }) {
  const told = [ours, theirs].filter(Boolean).join('\n');
  if (listed.has(name)) return assert.notDeepEqual(quipu, library, `${name} is listed in exceptions.md and differs no more`);
  // A case that both refuse by mistake would show nothing.
  assert.equal(Boolean(ours && theirs), refused, `both refuse it: ${told}`);
  assert.deepEqual(quipu, library, `${told}\nunlisted`);
}

/** What is there after and was not before, and the other way round. */
function changes(before, after) {
  const [was, is] = [new Map(), new Map()];
  before.forEach((line) => was.set(line, (was.get(line) ?? 0) + 1));
  after.forEach((line) => is.set(line, (is.get(line) ?? 0) + 1));
  const more = (a, b) => [...a].flatMap(([line, count]) => Array(Math.max(0, count - (b.get(line) ?? 0))).fill(line));
  return { gone: more(was, is), come: more(is, was) };
}

/** The answer to a case; of one that is followed, the answers of all pages. */
async function answers(url, one) {
  const first = await ask(url, one, one.variables);
  const told = first.errors && `${url}: ${JSON.stringify(first.errors)}`;
  if (!one.follow) return { ...comparable(one, first), told };
  const pages = [];
  let answer = first;
  for (;;) {
    pages.push(comparable(one, answer));
    const info = find(answer.data, one.follow)?.pageInfo;
    if (!info?.hasNextPage) return { pages, told };
    assert.ok(pages.length < 100, `${one.name} has no last page`);
    answer = await ask(url, one, { ...one.variables, after: info.endCursor });
  }
}

/** The value under a key, wherever it is. */
function find(value, key) {
  if (value === null || typeof value !== 'object') return undefined;
  if (key in value) return value[key];
  return Object.values(value).map((inner) => find(inner, key)).find((found) => found !== undefined);
}

async function ask(url, { text, claims, anonymous }, variables) {
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  if (!anonymous) headers.authorization = `Bearer ${token({ sub: 'ada', ...claims })}`;
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query: text, variables }) });
  return response.json();
}

function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ tenant: 'peer', exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${signed}.${createHmac('sha256', PEER_SECRET).update(signed).digest('base64url')}`;
}

/** Makes the graph anew through the gateway, whose registry then knows it. */
async function seed() {
  for (const { sub, text, variables } of seeding()) {
    const { errors } = await ask(PEER_QUIPU, { text, claims: { sub, roles: ['admin'] } }, variables);
    assert.equal(errors, undefined, `${text}: ${JSON.stringify(errors)}`);
  }
}
