// The differences that are meant, in exceptions.md: a line "- `Case`: reason" each.

import { readFileSync } from 'node:fs';

/** Reasons by case. */
export function exceptions() {
  const text = readFileSync(new URL('exceptions.md', import.meta.url), 'utf8');
  const listed = new Map();
  for (const [, name, reason] of text.matchAll(/^- `(\w+)`: (.+)$/gm)) {
    if (listed.has(name)) throw new Error(`${name} is listed twice in exceptions.md`);
    listed.set(name, reason);
  }
  return listed;
}
