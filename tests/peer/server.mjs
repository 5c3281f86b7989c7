// The peer: the Neo4j GraphQL Library on Apollo Server, over the same database and the same definitions. `node server.mjs` serves it
// alone and prints its address: PEER_NEO4J is the database's URL with credentials, PEER_SECRET signs tokens, PEER_DEFINITIONS is a file.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { Neo4jGraphQL } from '@neo4j/graphql';
import neo4j from 'neo4j-driver';

// The claims that rules name; Quipu needs no type for them.
const CLAIMS = 'type JWT @jwt { sub: String roles: [String!] regions: [String!] }';

/** A driver for a URL with user and password in it. */
export function driverOf(url) {
  const { protocol, username, password, host } = new URL(url);
  return neo4j.driver(`${protocol.replace('neo4j', 'bolt')}//${host}`, neo4j.auth.basic(username, decodeURIComponent(password)));
}

/** Serves definitions over a database; gives the address and what stops it. */
export async function serve({ definitions, driver, secret, port = 0 }) {
  const ordered = { LT: true, LTE: true, GT: true, GTE: true };
  const library = new Neo4jGraphQL({
    typeDefs: `${definitions}\n${CLAIMS}`,
    driver,
    features: { authorization: { key: secret }, filters: { String: ordered } },
  });
  // Repeated queries are taken from its caches, as in a server that is used.
  const server = new ApolloServer({ schema: await library.getSchema(), includeStacktraceInErrorResponses: false, csrfPrevention: true });
  const { url } = await startStandaloneServer(server, {
    listen: { host: '127.0.0.1', port },
    context: async ({ req }) => ({ token: req.headers.authorization }),
  });
  return { url, stop: () => server.stop() };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { PEER_NEO4J, PEER_SECRET, PEER_DEFINITIONS } = process.env;
  const definitions = readFileSync(PEER_DEFINITIONS ?? new URL('definitions.graphql', import.meta.url), 'utf8');
  const { url } = await serve({ definitions, driver: driverOf(PEER_NEO4J), secret: PEER_SECRET });
  console.log(url);
}
