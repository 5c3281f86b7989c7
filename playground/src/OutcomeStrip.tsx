import { type RefObject, useLayoutEffect } from 'react';
import { formatShortcutForOS, pick, useGraphiQL } from '@graphiql/react';
import type { Outcome, Problem } from './outcome';

interface Props {
  /** Outcomes of the last run of every tab, by GraphiQL's id of the tab. */
  outcomes: Record<string, Outcome>;
  /** What came of reading the schema, where that went wrong. */
  schemaOutcome: Outcome | null;
  /** Kept at the id of the tab in front, for the runs that begin in it. */
  activeTab: RefObject<string>;
}

/** The strip under the answer: status, time and size; every error with its path; a subscription's events. */
export function OutcomeStrip({ outcomes, schemaOutcome, activeTab }: Props) {
  const { tabs, activeTabIndex, queryEditor } = useGraphiQL(pick('tabs', 'activeTabIndex', 'queryEditor'));
  const id = tabs[activeTabIndex]?.id ?? '';
  useLayoutEffect(() => {
    activeTab.current = id;
  }, [activeTab, id]);
  const outcome = outcomes[id] ?? schemaOutcome;
  const goTo = (line: number, column: number) => {
    queryEditor?.setPosition({ lineNumber: line, column });
    queryEditor?.revealLineInCenterIfOutsideViewport(line);
    queryEditor?.focus();
  };
  if (!outcome) {
    return (
      <div className="quipu-outcome" role="status">
        <p className="summary quipu-muted">{formatShortcutForOS('Ctrl-Enter', '⌘')} runs the query</p>
      </div>
    );
  }
  const { tone, words } = summarise(outcome);
  const problems = 'problems' in outcome ? outcome.problems : [];
  const hint = 'hint' in outcome ? outcome.hint : undefined;
  const aboutSchema = outcome === schemaOutcome;
  return (
    <div className="quipu-outcome" role="status" data-tone={tone}>
      <p className="summary">
        <span className="dot" aria-hidden="true" />
        {aboutSchema && <strong>The schema could not be read</strong>}
        {words.map((word, index) => (index === 0 && !aboutSchema ? <strong key={word}>{word}</strong> : <span key={word}>{word}</span>))}
      </p>
      {hint && <p className="hint">{hint}</p>}
      {problems.length > 0 && (
        <ul className="problems" aria-label="Errors">
          {problems.map((problem, index) => (
            <ProblemLine key={index} problem={problem} goTo={goTo} />
          ))}
        </ul>
      )}
      {outcome.kind === 'live' && outcome.events.length > 0 && (
        <ol className="events" aria-label="Events">
          {outcome.events.map((event, index) => (
            <li key={outcome.count - index}>
              <time>{event.at.toLocaleTimeString([], { hour12: false })}</time>
              <code>{event.text}</code>
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function ProblemLine({ problem, goTo }: { problem: Problem; goTo(line: number, column: number): void }) {
  return (
    <li>
      {problem.code && <span className="code">{problem.code}</span>}
      <span className="message">{problem.message}</span>
      {problem.path && <span className="path">{problem.path.join(' › ')}</span>}
      {problem.locations?.map(({ line, column }) => (
        <button key={`${line}:${column}`} type="button" className="location" onClick={() => goTo(line, column)}>
          line {line}:{column}
        </button>
      ))}
    </li>
  );
}

function summarise(outcome: Outcome): { tone: 'good' | 'bad' | 'busy' | 'quiet'; words: string[] } {
  switch (outcome.kind) {
    case 'running':
      return { tone: 'busy', words: ['Running…'] };
    case 'stopped':
      return { tone: 'quiet', words: ['Stopped'] };
    case 'unreachable':
      return { tone: 'bad', words: ['No answer', milliseconds(outcome.ms)] };
    case 'live': {
      const events = `${outcome.count} ${outcome.count === 1 ? 'event' : 'events'}`;
      if (outcome.problems.length > 0) return { tone: 'bad', words: [outcome.open ? 'Live' : 'Ended with an error', events] };
      return outcome.open ? { tone: 'busy', words: ['Live', events] } : { tone: 'quiet', words: ['Ended', events] };
    }
    case 'answered': {
      const { status, problems, ms, bytes, requestId } = outcome;
      const bad = problems.length > 0 || status >= 400;
      const words = [`${status}${STATUS[status] ? ` ${STATUS[status]}` : ''}`];
      if (problems.length > 0) {
        const errors = `${problems.length} ${problems.length === 1 ? 'error' : 'errors'}`;
        // The worse news first: errors beside a status that says all is well, else the status.
        if (status < 400) words.unshift(errors);
        else words.push(errors);
      }
      words.push(milliseconds(ms), size(bytes));
      if (requestId) words.push(`request ${requestId}`);
      return { tone: bad ? 'bad' : 'good', words };
    }
  }
}

// HTTP/2 sends no reason with a status.
const STATUS: Record<number, string> = {
  200: 'OK',
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Timeout',
  413: 'Too large',
  415: 'Media type',
  429: 'Too many requests',
  500: 'Server error',
  502: 'Bad gateway',
  503: 'Unavailable',
  504: 'Timeout',
};

function milliseconds(ms: number): string {
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
