import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { explorerPlugin } from '@graphiql/plugin-explorer';
import { HISTORY_PLUGIN } from '@graphiql/plugin-history';
import { GraphiQL } from 'graphiql';
import { Bar } from './Bar';
import type { Config } from './config';
import { examplesPlugin } from './Examples';
import { createFetcher } from './fetcher';
import type { Outcome } from './outcome';
import { OutcomeStrip } from './OutcomeStrip';
import { type Identity, rememberIdentity, restoreIdentity, spaceOf, storageFor } from './session';
import { EDITOR_THEME, type Theme, useEditorTheme, useTheme } from './theme';

const BUILDER_PLUGIN = { ...explorerPlugin({ showAttribution: false }), title: 'Query builder' };
const WELCOME = '# Ctrl-Space completes, Ctrl-Enter runs.\n{\n  __typename\n}\n';

export function App({ config }: { config: Config }) {
  const { choice, theme, choose } = useTheme();
  useEditorTheme(theme);
  const [identity, setIdentity] = useState(() => restoreIdentity(config.tenants));
  const take = (next: Identity) => {
    rememberIdentity(next);
    setIdentity(next);
  };
  const space = spaceOf(identity);
  return (
    <>
      <Bar tenants={config.tenants} identity={identity} onIdentity={take} choice={choice} onChoice={choose} />
      {/* The key gives every tenant a workspace of its own: no tab, schema or answer of one is left when another comes. */}
      <Workspace key={space} space={space} config={config} token={identity.token} theme={theme} />
    </>
  );
}

interface WorkspaceProps {
  space: string;
  config: Config;
  token: string;
  theme: Theme;
}

/** GraphiQL for one tenant: its own tabs, history, schema and examples. */
function Workspace({ space, config, token, theme }: WorkspaceProps) {
  const [outcomes, setOutcomes] = useState<Record<string, Outcome>>({});
  const [schemaOutcome, setSchemaOutcome] = useState<Outcome | null>(null);
  const activeTab = useRef('');
  const begin = useCallback((what: 'run' | 'schema') => {
    if (what === 'schema') {
      return (outcome: Outcome) => setSchemaOutcome('problems' in outcome && outcome.problems.length > 0 ? outcome : null);
    }
    const tab = activeTab.current;
    return (outcome: Outcome) => setOutcomes((known) => ({ ...known, [tab]: outcome }));
  }, []);
  const { fetcher, stopAll } = useMemo(() => createFetcher({ endpoint: config.endpoint, token, begin }), [config.endpoint, token, begin]);
  useEffect(() => stopAll, [stopAll]);
  const storage = useMemo(() => storageFor(space), [space]);
  const { plugins, defaultTabs } = useMemo(() => {
    const own = config.examples[space] ?? [];
    const [first] = own;
    const variables = first?.variables && JSON.stringify(first.variables, null, 2);
    return {
      plugins: [examplesPlugin(space, own), BUILDER_PLUGIN, HISTORY_PLUGIN],
      defaultTabs: [{ query: first?.query ?? WELCOME, variables }],
    };
  }, [config.examples, space]);
  return (
    <GraphiQL
      className="quipu-surface"
      fetcher={fetcher}
      storage={storage}
      plugins={plugins}
      visiblePlugin={plugins[0]}
      defaultTabs={defaultTabs}
      forcedTheme={theme}
      editorTheme={EDITOR_THEME}
      shouldPersistHeaders={false}
      showPersistHeadersSettings={false}
      inputValueDeprecation
      schemaDescription
      customScalarSchemas={{ JSON: {} }}
    >
      <GraphiQL.Logo>
        <></>
      </GraphiQL.Logo>
      <GraphiQL.Footer>
        <OutcomeStrip outcomes={outcomes} schemaOutcome={schemaOutcome} activeTab={activeTab} />
      </GraphiQL.Footer>
    </GraphiQL>
  );
}
