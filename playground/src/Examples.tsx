import { flushSync } from 'react-dom';
import { parse } from 'graphql';
import { type GraphiQLPlugin, pick, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import type { Example } from './config';

/** GraphiQL's panel of example queries for one tenant: a click opens one, the arrow opens and runs it. */
export function examplesPlugin(space: string, examples: Example[]): GraphiQLPlugin {
  return {
    title: 'Examples',
    icon: ExamplesIcon,
    content: () => <Examples space={space} examples={examples} />,
  };
}

function Examples({ space, examples }: { space: string; examples: Example[] }) {
  const open = useOpenExample(examples);
  const ready = open !== null;
  return (
    <section className="quipu-examples" aria-label="Examples">
      <h2>Examples</h2>
      {examples.length === 0 && (
        <p className="quipu-muted">
          {space ? `There are no examples for ${space}.` : 'Examples are shown for a known tenant.'} The documentation panel lists
          every field of this API.
        </p>
      )}
      <ul>
        {examples.map((example) => (
          <li key={example.title}>
            <button type="button" className="quipu-example" disabled={!ready} onClick={() => open?.(example, false)}>
              <span className="title">{example.title}</span>
              <span className="kind">{describe(example)}</span>
            </button>
            <button
              type="button"
              className="quipu-icon-button"
              aria-label={`Run: ${example.title}`}
              title="Open and run"
              disabled={!ready}
              onClick={() => open?.(example, true)}
            >
              <svg viewBox="0 0 20 20" fill="currentColor" aria-hidden="true">
                <path d="M6 4.2v11.6c0 .6.7 1 1.2.7l8.8-5.8c.5-.3.5-1 0-1.3L7.2 3.5C6.7 3.2 6 3.6 6 4.2Z" />
              </svg>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The root fields of an example, with its kind where that is not a query. */
function describe({ query }: Example): string {
  const definition = operationsOf(query)[0];
  if (!definition) return '';
  const fields = definition.selectionSet.selections.flatMap((one) => (one.kind === 'Field' ? [one.name.value] : []));
  const kind = definition.operation === 'query' ? '' : `${definition.operation} · `;
  return kind + fields.join(', ');
}

function operationsOf(query: string) {
  try {
    return parse(query).definitions.filter((one) => one.kind === 'OperationDefinition');
  } catch {
    return [];
  }
}

/** The function that opens an example; `null` until the editors stand. */
function useOpenExample(examples: Example[]) {
  const { addTab, run, setOperationFacts, setOperationName, stop } = useGraphiQLActions();
  const { queryEditor, variableEditor, responseEditor } = useGraphiQL(pick('queryEditor', 'variableEditor', 'responseEditor'));
  if (!queryEditor || !variableEditor || !responseEditor) return null;
  return (example: Example, andRun: boolean) => {
    stop();
    // Own work is not overwritten: only an empty tab, or an example as it came, makes room for another.
    const current = queryEditor.getValue().trim();
    if (current && !examples.some((one) => one.query.trim() === current)) {
      // At once: the outcome of a run belongs to the tab in front as it begins.
      flushSync(addTab);
    }
    queryEditor.setValue(example.query);
    variableEditor.setValue(example.variables ? JSON.stringify(example.variables, null, 2) : '');
    const operations = operationsOf(example.query);
    const name = operations[0]?.name?.value;
    if (operations.length > 0) {
      // GraphiQL reads the text a little later; a run at once needs the operation's name now.
      setOperationFacts({ documentAST: parse(example.query), operationName: name, operations });
      setOperationName(name ?? '');
    }
    if (example.variables) showVariables();
    if (andRun) void run();
    else queryEditor.focus();
  };
}

/** GraphiQL has no action that unfolds the variables editor; its button does when it is folded. */
function showVariables() {
  const folded = document.querySelector('.graphiql-toggle-editor-tools[aria-label^="Show"]');
  if (folded) document.querySelector<HTMLButtonElement>('.graphiql-editor-tools [data-name="variables"]')?.click();
}

function ExamplesIcon() {
  return (
    <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round">
      <path d="M10 4.6C8.2 3.3 5.5 2.9 2.5 3.2v12c3-.3 5.7.1 7.5 1.4 1.8-1.3 4.5-1.7 7.5-1.4v-12c-3-.3-5.7.1-7.5 1.4Zm0 0v12" />
    </svg>
  );
}
