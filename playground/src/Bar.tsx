import { useEffect, useState } from 'react';
import type { DemoTenant } from './config';
import { Knot } from './Knot';
import { type Identity, readClaims } from './session';
import type { Choice } from './theme';

const NEXT: Record<Choice, Choice> = { system: 'light', light: 'dark', dark: 'system' };
const OWN = '';

interface Props {
  tenants: DemoTenant[];
  identity: Identity;
  onIdentity(identity: Identity): void;
  choice: Choice;
  onChoice(choice: Choice): void;
}

/** The slim bar on top: whose data, with which token, in which light. */
export function Bar({ tenants, identity, onIdentity, choice, onChoice }: Props) {
  const pickTenant = (name: string) => {
    const tenant = tenants.find((one) => one.name === name);
    onIdentity(tenant ? { tenant: tenant.name, token: tenant.token } : { tenant: null, token: '' });
  };
  return (
    <header className="quipu-bar quipu-surface">
      <h1 className="quipu-name">
        <Knot />
        Quipu
      </h1>
      {tenants.length > 0 && (
        <label className="quipu-field">
          <span>Tenant</span>
          <select
            className="quipu-tenant"
            aria-label="Tenant"
            value={identity.tenant ?? OWN}
            onChange={(event) => pickTenant(event.target.value)}
          >
            {tenants.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
            <option value={OWN}>own token…</option>
          </select>
        </label>
      )}
      <TokenField key={identity.tenant ?? OWN} identity={identity} onIdentity={onIdentity} />
      <WhoAmI token={identity.token} />
      <button
        type="button"
        className="quipu-icon-button quipu-theme"
        aria-label={`Theme: ${choice}`}
        title={`Theme: ${choice}. Click for ${NEXT[choice]}.`}
        onClick={() => onChoice(NEXT[choice])}
      >
        <ThemeIcon choice={choice} />
      </button>
    </header>
  );
}

function TokenField({ identity, onIdentity }: Pick<Props, 'identity' | 'onIdentity'>) {
  const [text, setText] = useState(identity.token);
  const [shown, setShown] = useState(false);
  useEffect(() => setText(identity.token), [identity.token]);
  const use = () => {
    const token = text.trim().replace(/^bearer\s+/i, '');
    setText(token);
    if (token !== identity.token) onIdentity({ tenant: null, token });
  };
  return (
    <label className="quipu-field quipu-token">
      <span>Token</span>
      <span className="quipu-token-box">
        {/* Not a password field: browsers would offer to store it. */}
        <input
          type="text"
          className={shown ? undefined : 'masked'}
          aria-label="Token"
          placeholder="paste a token, press Enter"
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onBlur={use}
          onKeyDown={(event) => event.key === 'Enter' && use()}
        />
        <button
          type="button"
          className="quipu-icon-button"
          aria-label={shown ? 'Hide the token' : 'Show the token'}
          aria-pressed={shown}
          onClick={() => setShown(!shown)}
        >
          <EyeIcon open={shown} />
        </button>
      </span>
    </label>
  );
}

/** What the token says of itself. The server alone decides whether it is true. */
function WhoAmI({ token }: { token: string }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 15_000);
    return () => clearInterval(timer);
  }, []);
  const claims = token ? readClaims(token) : null;
  if (!claims) return <span className="quipu-who">{token ? '' : 'no token'}</span>;
  const left = claims.expires === undefined ? null : claims.expires - now / 1000;
  // A subject that is called as its only role is named once.
  const parts = [...new Set([claims.tenant, claims.subject, claims.roles?.join(', ')])].filter(Boolean);
  return (
    <span className="quipu-who" title={parts.join(' · ')}>
      <span className="quipu-who-names">{parts.join(' · ')}</span>
      {left !== null && <span className={left <= 0 ? 'expired' : undefined}>{left <= 0 ? 'expired' : `${duration(left)} left`}</span>}
    </span>
  );
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

function ThemeIcon({ choice }: { choice: Choice }) {
  return (
    <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" aria-hidden="true">
      {choice === 'light' && (
        <>
          <circle cx="10" cy="10" r="3.4" />
          <path d="M10 1.8v2M10 16.2v2M1.8 10h2M16.2 10h2M4.2 4.2l1.4 1.4M14.4 14.4l1.4 1.4M15.8 4.2l-1.4 1.4M5.6 14.4l-1.4 1.4" />
        </>
      )}
      {choice === 'dark' && <path d="M16.6 12.2A7 7 0 0 1 7.8 3.4a7 7 0 1 0 8.8 8.8Z" strokeLinejoin="round" />}
      {choice === 'system' && (
        <>
          <circle cx="10" cy="10" r="6.8" />
          <path d="M10 3.2a6.8 6.8 0 0 1 0 13.6Z" fill="currentColor" stroke="none" />
        </>
      )}
    </svg>
  );
}

function EyeIcon({ open }: { open: boolean }) {
  return (
    <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" aria-hidden="true">
      <path d="M1.8 10C4 6.3 6.8 4.6 10 4.6s6 1.7 8.2 5.4c-2.2 3.7-5 5.4-8.2 5.4S4 13.7 1.8 10Z" strokeLinejoin="round" />
      <circle cx="10" cy="10" r="2.4" />
      {!open && <path d="M3.5 17 16.5 3" />}
    </svg>
  );
}
