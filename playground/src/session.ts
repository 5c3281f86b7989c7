/**
 * Who the page speaks as, and where it remembers things. A token lives in `sessionStorage` only: it ends with the browser tab.
 * What GraphiQL remembers (tabs, history) lives in `localStorage`, apart for every tenant, and never with headers in it.
 */
import type { DemoTenant } from './config';

export interface Identity {
  /** A demo tenant's name; `null` for a token of one's own. */
  tenant: string | null;
  token: string;
}

const TENANT_KEY = 'quipu:tenant';
const TOKEN_KEY = 'quipu:token';

/** The identity of this browser tab: as left before a reload, else the first demo tenant, else nobody. */
export function restoreIdentity(tenants: DemoTenant[]): Identity {
  const chosen = tenants.find((tenant) => tenant.name === sessionStorage.getItem(TENANT_KEY));
  if (chosen) return { tenant: chosen.name, token: chosen.token };
  const token = sessionStorage.getItem(TOKEN_KEY);
  if (token) return { tenant: null, token };
  const first = tenants[0];
  return first ? { tenant: first.name, token: first.token } : { tenant: null, token: '' };
}

export function rememberIdentity({ tenant, token }: Identity): void {
  if (tenant === null) {
    sessionStorage.removeItem(TENANT_KEY);
    sessionStorage.setItem(TOKEN_KEY, token);
  } else {
    // A demo token comes with the configuration at every load; a new demo may have new ones.
    sessionStorage.setItem(TENANT_KEY, tenant);
    sessionStorage.removeItem(TOKEN_KEY);
  }
}

export interface Claims {
  tenant?: string;
  subject?: string;
  roles?: string[];
  /** Seconds since 1970. */
  expires?: number;
}

/** Reads a token's claims for display. Nothing is verified here: that is the server's part. */
export function readClaims(token: string): Claims | null {
  const payload = token.split('.')[1];
  if (!payload) return null;
  try {
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
    return {
      tenant: text(claims.tenant),
      subject: text(claims.sub),
      roles: Array.isArray(claims.roles) ? claims.roles.map(String) : undefined,
      expires: typeof claims.exp === 'number' ? claims.exp : undefined,
    };
  } catch {
    return null;
  }
}

/** Whose tabs and examples are shown: the demo tenant, or the tenant that an own token names. */
export function spaceOf(identity: Identity): string {
  return identity.tenant ?? readClaims(identity.token)?.tenant ?? '';
}

// What GraphiQL keeps for all tenants alike: the page's looks.
const SHARED = /:(theme|visiblePlugin|docExplorerFlex|editorFlex|secondaryEditorFlex)$/;
const PREFIX = 'quipu:space:';
// The panel beside the editors starts narrower than GraphiQL's third of the page.
const FIRST_VALUES: Record<string, string> = { 'graphiql:docExplorerFlex': '0.26' };

/** GraphiQL's storage for one tenant. Headers may hold secrets, so they are taken out of what is written. */
export function storageFor(space: string) {
  const prefix = `${PREFIX}${encodeURIComponent(space)}:`;
  const place = (key: string) => (SHARED.test(key) ? key : prefix + key);
  const own = () => Object.keys(localStorage).filter((key) => key.startsWith(prefix) || key.startsWith('graphiql:'));
  return {
    getItem: (key: string) => localStorage.getItem(place(key)) ?? FIRST_VALUES[key] ?? null,
    setItem: (key: string, value: string) => {
      if (key.endsWith(':headers')) return;
      localStorage.setItem(place(key), withoutHeaders(value));
    },
    removeItem: (key: string) => localStorage.removeItem(place(key)),
    clear: () => own().forEach((key) => localStorage.removeItem(key)),
    get length() {
      return own().length;
    },
  };
}

function withoutHeaders(value: string): string {
  if (!value.startsWith('{') || !value.includes('"headers"')) return value;
  try {
    return JSON.stringify(JSON.parse(value), (key, inner) => (key === 'headers' && inner !== null ? undefined : inner));
  } catch {
    return value;
  }
}
