// Cases: the operations of cases/*.graphql, each with its name, and in comments before it what it is sent with.
//
//   # claims: {"roles": ["admin"]}    claims of the token, beside the tenant
//   # anonymous                       no token at all
//   # variables: {"region": "north"}
//   # refused                         both refuse it
//   # follow: facilitiesConnection    asked again with $after, from page to page, until there is none

import { readFileSync, readdirSync } from 'node:fs';
import { Kind, TokenKind, parse, print } from 'graphql';

const folder = new URL('cases/', import.meta.url);

/** All cases, in the order of their files. */
export function cases() {
  const all = readdirSync(folder).filter((name) => name.endsWith('.graphql')).sort().flatMap(ofFile);
  const names = new Set();
  for (const { name } of all) {
    if (names.has(name)) throw new Error(`two cases are called ${name}`);
    names.add(name);
  }
  return all;
}

function ofFile(file) {
  const { definitions } = parse(readFileSync(new URL(file, folder), 'utf8'));
  const fragments = definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
  return definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION).map((operation) => {
    const said = comments(operation.loc.startToken);
    const used = new Set();
    spreads(operation, fragments, used);
    return {
      file,
      name: operation.name.value,
      kind: operation.operation,
      operation,
      fragments,
      text: [operation, ...used].map(print).join('\n'),
      claims: said.claims ?? {},
      anonymous: 'anonymous' in said,
      refused: 'refused' in said,
      variables: said.variables ?? {},
      follow: said.follow,
    };
  });
}

function spreads(node, fragments, used) {
  for (const selection of node.selectionSet?.selections ?? []) {
    const named = selection.kind === Kind.FRAGMENT_SPREAD && fragments.find(({ name }) => name.value === selection.name.value);
    if (named && !used.has(named)) {
      used.add(named);
      spreads(named, fragments, used);
    }
    spreads(selection, fragments, used);
  }
}

/** What the comments directly before an operation say. */
function comments(token) {
  const said = {};
  for (let before = token.prev; before?.kind === TokenKind.COMMENT; before = before.prev) {
    const [, word, rest] = before.value.match(/^\s*(claims|variables|follow|anonymous|refused)\b:?\s*(.*)$/) ?? [];
    if (word) said[word] = word === 'claims' || word === 'variables' ? JSON.parse(rest) : rest.trim();
  }
  return said;
}
