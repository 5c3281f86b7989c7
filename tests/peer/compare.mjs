// Answers in a form in which equal means equal: lists in the order that was asked for, and where none was, or ties leave it open, in one of
// their own. Cursors are opaque: only whether there is one is compared here, what they lead to by following them.

import { Kind, valueFromASTUntyped } from 'graphql';

const CURSORS = new Set(['cursor', 'startCursor', 'endCursor']);

/** An answer as it is compared: the data, and the kinds of its errors. */
export function comparable({ operation, fragments, variables }, { data, errors }) {
  const form = { data: data ? object(operation, data, { fragments, variables }) : null };
  if (errors?.length) form.errors = [...new Set(errors.map(kindOf))].sort();
  return form;
}

/** What sort of error it is. The words and most codes are each server's own; the peer has its code for failures in itself also where it
 * refuses an argument, the gateway never has. */
function kindOf({ message, extensions }) {
  const code = extensions?.code ?? '';
  if (/UNAUTHENTICATED/i.test(code) || /^Unauthenticated$/.test(message)) return 'unauthenticated';
  if (/FORBIDDEN/i.test(code) || /^Forbidden$/.test(message)) return 'forbidden';
  return code === 'INTERNAL' ? 'broken' : 'refused';
}

function object(parent, value, context, sort) {
  const form = {};
  const fields = fieldsOf(parent, context.fragments);
  for (const [key, held] of Object.entries(value)) {
    const field = merged(fields.filter((field) => (field.alias ?? field.name).value === key));
    if (!field) throw new Error(`${key} was not asked for`);
    form[key] = valueOf(field, held, context, sort);
  }
  return form;
}

function valueOf(field, value, context, enclosing) {
  if (value === null) return null;
  if (CURSORS.has(field.name.value)) return '<cursor>';
  if (typeof value === 'number') return Number(value.toPrecision(12));
  if (typeof value !== 'object' || !field.selectionSet) return value;
  const { sort = [], total, paged } = asked(field, context);
  if (!Array.isArray(value)) return object(field, value, context, field.name.value.endsWith('Connection') ? { sort, total, paged } : undefined);
  const edges = field.name.value === 'edges' && enclosing;
  return list(field, value, context, edges || { sort, total, paged }, Boolean(edges));
}

/** The order that a field asks for: keys as paths into an item, and whether it is total. */
function asked(field, { variables }) {
  const given = Object.fromEntries(field.arguments.map(({ name, value }) => [name.value, valueFromASTUntyped(value, variables)]));
  const keys = [given.sort ?? []].flat().flatMap((entry) => Object.entries(entry).flatMap(([name, by]) =>
    (typeof by === 'object' ? Object.keys(by).map((inner) => [name === 'edge' ? 'properties' : name, inner]) : [[name]])));
  const paged = ['limit', 'offset', 'first', 'after'].some((name) => given[name] !== undefined && given[name] !== null);
  return { sort: keys, total: keys.some((path) => path.at(-1) === 'id'), paged };
}

function list(field, items, context, { sort, total, paged }, edges) {
  if (paged && !total) throw new Error(`${field.name.value} has pages and no total order: sort by id last`);
  const forms = items.map((item) => (item === null ? null : object(field, item, context)));
  if (total) return forms;
  const keyOf = (item) => JSON.stringify(sort.map((path) => at(item, edges && path.length === 1 ? ['node', ...path] : path)));
  const text = new Map(forms.map((form) => [form, JSON.stringify(form)]));
  const byText = (a, b) => (text.get(a) < text.get(b) ? -1 : 1);
  const runs = [];
  forms.forEach((form, place) => {
    const key = keyOf(items[place]);
    if (runs.at(-1)?.key === key) runs.at(-1).forms.push(form);
    else runs.push({ key, forms: [form] });
  });
  return runs.flatMap((run) => run.forms.sort(byText));
}

function at(item, path) {
  const found = path.reduce((within, name) => within?.[name], item);
  if (found === undefined) throw new Error(`sorted by ${path.join('.')}, which is not selected`);
  return found;
}

/** One field of all that go under the same key. */
function merged([first, ...more]) {
  if (!more.length || !first.selectionSet) return first;
  const selections = [first, ...more].flatMap(({ selectionSet }) => selectionSet.selections);
  return { ...first, selectionSet: { ...first.selectionSet, selections } };
}

function fieldsOf(node, fragments) {
  return (node.selectionSet?.selections ?? []).flatMap((selection) => {
    if (selection.kind === Kind.FIELD) return [selection];
    if (selection.kind === Kind.INLINE_FRAGMENT) return fieldsOf(selection, fragments);
    return fieldsOf(fragments.find(({ name }) => name.value === selection.name.value), fragments);
  });
}
