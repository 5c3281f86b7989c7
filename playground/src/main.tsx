import 'graphiql/setup-workers/vite';
import { type ReactNode, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import '@graphiql/react/font/roboto.css';
import '@graphiql/react/font/fira-code.css';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import './page.css';
import { App } from './App';
import { loadConfig } from './config';
import { Knot } from './Knot';

const element = document.getElementById('root');
if (!element) throw new Error('the page has no root element');
const root = createRoot(element);

// The editor gives up work whenever a tab or a tenant changes. It says so by rejecting promises with an error of this name, some of
// which nobody listens to: that is no error of the page.
window.addEventListener('unhandledrejection', (event) => {
  if (event.reason instanceof Error && event.reason.name === 'Canceled') event.preventDefault();
});

async function start() {
  show(<p>Loading…</p>);
  try {
    const config = await loadConfig();
    root.render(<App config={config} />);
  } catch (error) {
    show(
      <>
        <p role="alert">The playground could not start. {error instanceof Error ? error.message : String(error)}</p>
        <button type="button" onClick={() => void start()}>
          Try again
        </button>
      </>,
    );
  }
}

function show(content: ReactNode) {
  root.render(
    <StrictMode>
      <main className="quipu-start quipu-surface">
        <Knot />
        {content}
      </main>
    </StrictMode>,
  );
}

void start();
