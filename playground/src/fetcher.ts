/**
 * How the page talks to the gateway: queries and mutations by `POST`, subscriptions over `graphql-transport-ws`. Nothing is thrown
 * at GraphiQL: whatever goes wrong becomes an answer with `errors`, and an `Outcome` that says what to do about it.
 */
import type { Fetcher, FetcherReturnType } from '@graphiql/toolkit';
import { type DocumentNode, getOperationAST, parse } from 'graphql';
import { type Client, createClient } from 'graphql-ws';
import { EVENTS_KEPT, hintFor, meaningOfClose, type Outcome, problemsOf } from './outcome';

interface Params {
  query: string;
  operationName?: string | null;
  variables?: unknown;
}

interface Options {
  /** What the headers editor holds, parsed. */
  headers?: Record<string, unknown>;
  documentAST?: DocumentNode;
}

interface Sink {
  next(answer: unknown): void;
  complete(): void;
}

/** How far the log had come by the last change made here; what is asked next sees at least that, whichever instance answers. */
interface Seen {
  position?: string;
}

export interface FetcherSettings {
  endpoint: string;
  token: string;
  /** Called as a run begins (`schema`: the page's own introspection); the function it gives back is told how the run goes. */
  begin(what: 'run' | 'schema'): (outcome: Outcome) => void;
}

export interface Fetching {
  fetcher: Fetcher;
  /** Ends what still runs: a workspace that goes, or a token that changes, leaves no stream behind. */
  stopAll(): void;
}

/** Makes GraphiQL's fetcher. It answers with an observable always, so that the stop button also cancels queries. */
export function createFetcher({ endpoint, token, begin }: FetcherSettings): Fetching {
  const running = new Set<() => void>();
  const seen: Seen = {};
  const fetcher = (params: Params, options: Options = {}) => {
    const tell = begin(params.operationName === 'IntrospectionQuery' ? 'schema' : 'run');
    const headers = headersOf(options.headers, token);
    const start: typeof subscribe = isSubscription(params, options.documentAST) ? subscribe : (...run) => post(...run, seen);
    const answers = {
      subscribe(sink: Sink) {
        let over = false;
        const end = () => {
          over = true;
          running.delete(stop);
          sink.complete();
        };
        // After the end nothing more reaches GraphiQL: it might be running something else by then.
        const guarded: Sink = {
          next: (answer) => void (over || sink.next(answer)),
          complete: () => void (over || end()),
        };
        const cancel = start(endpoint, params, headers, guarded, (outcome) => void (over || tell(outcome)));
        const stop = () => {
          if (over) return;
          cancel();
          end();
        };
        running.add(stop);
        return { unsubscribe: stop };
      },
    };
    // GraphiQL always passes one object of callbacks; its type also allows three separate ones.
    return answers as unknown as FetcherReturnType;
  };
  return { fetcher, stopAll: () => running.forEach((stop) => stop()) };
}

/** The headers editor's own entries win over the token field. Names in lower case. */
function headersOf(typed: Record<string, unknown> | undefined, token: string): Record<string, string> {
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  for (const [name, value] of Object.entries(typed ?? {})) headers[name.toLowerCase()] = String(value);
  return headers;
}

function isSubscription({ query, operationName }: Params, ast?: DocumentNode): boolean {
  try {
    return getOperationAST(ast ?? parse(query), operationName)?.operation === 'subscription';
  } catch {
    // Not parseable here: the server says why.
    return false;
  }
}

function post(
  endpoint: string,
  params: Params,
  headers: Record<string, string>,
  sink: Sink,
  tell: (outcome: Outcome) => void,
  seen: Seen,
): () => void {
  const abort = new AbortController();
  const started = performance.now();
  const elapsed = () => performance.now() - started;
  let answered = false;
  const finish = (answer: unknown, outcome: Outcome) => {
    answered = true;
    tell(outcome);
    sink.next(answer);
    sink.complete();
  };
  const run = async () => {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: {
        accept: 'application/graphql-response+json, application/json;q=0.9',
        'content-type': 'application/json',
        ...(seen.position === undefined ? {} : { 'quipu-position': seen.position }),
        ...headers,
      },
      body: JSON.stringify(params),
      credentials: 'omit',
      cache: 'no-store',
      signal: abort.signal,
    });
    const text = await response.text();
    const answer = readAnswer(text, response);
    seen.position = response.headers.get('quipu-position') ?? seen.position;
    // Of a log that was replaced meanwhile: the next run goes without.
    if (text.includes('"BAD_POSITION"')) seen.position = undefined;
    finish(answer, {
      kind: 'answered',
      status: response.status,
      ms: elapsed(),
      bytes: new TextEncoder().encode(text).length,
      requestId: response.headers.get('x-request-id') ?? undefined,
      problems: problemsOf(answer),
      hint: hintFor(response.status, 'authorization' in headers, response.headers.get('retry-after')),
    });
  };
  tell({ kind: 'running' });
  run().catch((error: unknown) => {
    if (abort.signal.aborted) return;
    const answer = { errors: [{ message: `no answer from ${endpoint}: ${messageOf(error)}` }] };
    const hint = 'Is the server running, and is the network up?';
    finish(answer, { kind: 'unreachable', ms: elapsed(), problems: problemsOf(answer), hint });
  });
  return () => {
    // GraphiQL also unsubscribes from an introspection that has answered.
    if (answered) return;
    abort.abort();
    tell({ kind: 'stopped' });
  };
}

/** An answer that is not GraphQL's (a proxy's page, an empty body) is shown as an error with what it said. */
function readAnswer(text: string, response: Response): unknown {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === 'object' && answer !== null && ('data' in answer || 'errors' in answer)) return answer;
  } catch {
    // Falls through: not JSON.
  }
  const status = `${response.status} ${response.statusText}`.trim();
  return { errors: [{ message: `${status}: not a GraphQL answer`, extensions: { body: text.slice(0, 2000) } }] };
}

function subscribe(
  endpoint: string,
  params: Params,
  headers: Record<string, string>,
  sink: Sink,
  tell: (outcome: Outcome) => void,
): () => void {
  const url = new URL(endpoint, window.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  // A connection of its own per subscription, so that it carries the token and headers of the moment. No silent reconnecting:
  // events between two connections would be missing without a word.
  const client: Client = createClient({ url: url.href, connectionParams: headers, retryAttempts: 0 });
  let live: Extract<Outcome, { kind: 'live' }> = { kind: 'live', open: true, count: 0, events: [], problems: [] };
  const update = (change: Partial<typeof live>) => {
    live = { ...live, ...change };
    tell(live);
  };
  const end = (answer: unknown, hint?: string) => {
    update({ open: false, problems: problemsOf(answer), hint });
    sink.next(answer);
    sink.complete();
  };
  update({});
  const stop = client.subscribe(
    { query: params.query, operationName: params.operationName, variables: params.variables as Record<string, unknown> },
    {
      next: (answer) => {
        const event = { at: new Date(), text: JSON.stringify(answer.data ?? answer.errors) };
        update({
          count: live.count + 1,
          events: [event, ...live.events].slice(0, EVENTS_KEPT),
          problems: problemsOf(answer),
        });
        sink.next(answer);
      },
      error: (error) => {
        // Errors of the operation itself come as a list; all else is about the connection.
        if (Array.isArray(error)) return end({ errors: error });
        const close = error as { code?: unknown; reason?: unknown } | null;
        if (typeof close?.code === 'number') {
          const { message, hint } = meaningOfClose(close.code, typeof close.reason === 'string' ? close.reason : '');
          return end({ errors: [{ message }] }, hint);
        }
        end({ errors: [{ message: `no connection to ${url.pathname}: ${messageOf(error)}` }] });
      },
      complete: () => {
        if (live.open) update({ open: false });
        sink.complete();
      },
    },
  );
  return () => {
    update({ open: false });
    stop();
    void client.dispose();
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
