/** What the server tells the page: `GET /playground/config.json`. */

export interface DemoTenant {
  name: string;
  token: string;
}

export interface Example {
  title: string;
  query: string;
  variables?: Record<string, unknown>;
}

export interface Config {
  /** Path of the GraphQL endpoint on this origin. */
  endpoint: string;
  /** Tenants whose tokens the server gives away; empty but for the demo. */
  tenants: DemoTenant[];
  /** Example queries by tenant, in the order in which they are shown. */
  examples: Record<string, Example[]>;
  /** Whether the server hides introspection and internals. */
  production: boolean;
}

/** Asks the server for the page's configuration; fails with a sentence that can be shown. */
export async function loadConfig(): Promise<Config> {
  let response: Response;
  try {
    response = await fetch(`${import.meta.env.BASE_URL}config.json`, { cache: 'no-store', credentials: 'omit' });
  } catch {
    throw new Error('The server did not answer.');
  }
  if (!response.ok) throw new Error(`The server answered ${response.status} ${response.statusText}.`);
  const config = (await response.json()) as Partial<Config>;
  return {
    endpoint: config.endpoint ?? '/graphql',
    tenants: config.tenants ?? [],
    examples: config.examples ?? {},
    production: config.production ?? false,
  };
}
