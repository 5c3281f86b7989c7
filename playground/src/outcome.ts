/** What came of a run, beside the answer itself: shown in the strip under the answer. */

export interface Problem {
  message: string;
  code?: string;
  path?: (string | number)[];
  locations?: { line: number; column: number }[];
}

export interface LiveEvent {
  at: Date;
  text: string;
}

export type Outcome =
  | { kind: 'running' }
  | { kind: 'stopped' }
  /** The server answered, with data, errors or both. Times in milliseconds, sizes in bytes of the decoded body. */
  | { kind: 'answered'; status: number; ms: number; bytes: number; requestId?: string; problems: Problem[]; hint?: string }
  /** No answer at all. */
  | { kind: 'unreachable'; ms: number; problems: Problem[]; hint: string }
  /** A subscription; the newest event comes first. */
  | { kind: 'live'; open: boolean; count: number; events: LiveEvent[]; problems: Problem[]; hint?: string };

/** How many events of a subscription are kept for the strip. */
export const EVENTS_KEPT = 50;

/** Takes the errors out of an answer, whatever shape a server gave them. */
export function problemsOf(answer: unknown): Problem[] {
  const errors = (answer as { errors?: unknown } | null)?.errors;
  if (!Array.isArray(errors)) return [];
  return errors.map((error) => {
    const { message, path, locations, extensions } = (error ?? {}) as Record<string, unknown>;
    const code = (extensions as { code?: unknown } | undefined)?.code;
    return {
      message: typeof message === 'string' ? message : JSON.stringify(error),
      code: typeof code === 'string' ? code : undefined,
      path: Array.isArray(path) ? path : undefined,
      locations: Array.isArray(locations) ? locations : undefined,
    };
  });
}

/** What a person can do about a status, in one sentence. */
export function hintFor(status: number, hasToken: boolean, retryAfter?: string | null): string | undefined {
  const wait = retryAfter ? ` It asks to wait ${retryAfter} s.` : '';
  switch (status) {
    case 401:
      return hasToken
        ? 'The server did not accept this token: it may be mistyped, expired or signed with another key.'
        : 'No token was sent. Choose a tenant or paste a token in the bar above.';
    case 403:
      return 'The token is valid, but what it stands for may not do this.';
    case 404:
      return 'There is no GraphQL endpoint at this address.';
    case 408:
    case 504:
      return 'The query took longer than the server allows. Ask for less, or page through it.';
    case 413:
      return 'The request is larger than the server takes.';
    case 429:
      return `Too many requests at once.${wait}`;
    case 502:
    case 503:
      return `The server is busy or one of its stores is away.${wait}`;
    default:
      return undefined;
  }
}

/** What the close of a `graphql-transport-ws` connection means (codes of that protocol, then RFC 6455). */
export function meaningOfClose(code: number, reason: string): { message: string; hint?: string } {
  const said = reason ? `: ${reason}` : '';
  switch (code) {
    case 4400:
      return { message: `the server did not understand the message (4400${said})` };
    case 4401:
    case 4403:
      return {
        message: `the server refused the connection (${code}${said})`,
        hint: 'The token is missing, not accepted, or has expired. Choose a tenant or paste another one.',
      };
    case 4406:
      return { message: `the server speaks another subscription protocol (4406${said})` };
    case 4408:
    case 4504:
      return { message: `the connection was not set up in time (${code}${said})` };
    case 4409:
      return { message: `the subscription exists already (4409${said})` };
    case 4429:
      return { message: `too many subscriptions (4429${said})` };
    case 1006:
      return { message: 'the connection was lost', hint: 'Is the server running? Run the subscription again to reconnect.' };
    case 1001:
    case 1012:
      return { message: `the server is going away (${code}${said})`, hint: 'Run the subscription again in a moment.' };
    default:
      return { message: `the connection was closed (${code}${said})` };
  }
}
