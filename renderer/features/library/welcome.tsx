/** The right side while there is no machine yet. */
import type { ReactElement } from 'react';
import { useRef } from 'react';
import { useSession } from '../../app/session.ts';
import { open } from '../../app/view.ts';
import { t } from '../../i18n/index.ts';
import { Button } from '../../ui/controls.tsx';
import { Icon } from '../../ui/icons.tsx';

export function Welcome(): ReactElement {
  const { info } = useSession();
  const picker = useRef<HTMLInputElement>(null);
  return (
    <main className="welcome" data-testid="welcome">
      <Jar />
      <h1>{t('welcome.title')}</h1>
      <p className="muted welcome-text">{t('welcome.text')}</p>
      <Button
        variant="primary"
        size="lg"
        icon="plus"
        onClick={() => open({ kind: 'wizard' })}
        data-testid="welcome-new"
      >
        {t('welcome.new')}
      </Button>
      {/* The same target as the rest of the window; shown because nobody would look for it. */}
      <div className="welcome-drop">
        <Icon name="disc" size={22} />
        <span>
          {t('welcome.drop')}{' '}
          {info.capabilities.upload && (
            <>
              <button type="button" className="link" onClick={() => picker.current?.click()}>
                {t('welcome.pick')}
              </button>
              <input
                ref={picker}
                type="file"
                accept=".iso,.img,.raw"
                hidden
                data-testid="welcome-file"
                onChange={(event) => {
                  const file = event.target.files?.[0];
                  if (file) open({ kind: 'wizard', medium: { file } });
                }}
              />
            </>
          )}
        </span>
      </div>
    </main>
  );
}

function Jar(): ReactElement {
  return (
    <svg className="welcome-jar" width="150" height="150" viewBox="0 0 150 150" aria-hidden="true">
      <defs>
        <linearGradient id="glass" x1="0" y1="0" x2="0" y2="1">
          <stop offset="0" stopColor="var(--accent)" stopOpacity=".05" />
          <stop offset="1" stopColor="var(--accent)" stopOpacity=".16" />
        </linearGradient>
        <clipPath id="inside">
          <path d="M34 50c0-9 7-14 15-14h52c8 0 15 5 15 14v58a22 22 0 0 1-22 22H56a22 22 0 0 1-22-22z" />
        </clipPath>
      </defs>
      <ellipse cx="75" cy="136" rx="46" ry="5" fill="var(--text)" opacity=".06" />
      <path d="M34 50c0-9 7-14 15-14h52c8 0 15 5 15 14v58a22 22 0 0 1-22 22H56a22 22 0 0 1-22-22z" fill="url(#glass)" />
      <g clipPath="url(#inside)">
        <path d="M30 104c16-8 28-6 45 0s30 6 46-2v34H30z" fill="var(--accent)" opacity=".28" />
        <path d="M30 113c18-6 30-3 46 1s28 3 45-3v26H30z" fill="var(--accent)" opacity=".5" />
      </g>
      <g stroke="var(--accent)" strokeWidth="3.2" strokeLinecap="round" fill="none">
        <path d="M75 105V66" />
        <path d="M57 107V90M95 106V86" strokeWidth="2.6" />
      </g>
      <g fill="var(--accent)">
        <path d="M75 74c0-13 8-21 21-21 0 13-8 21-21 21zM75 87c0-11-7-18-19-18 0 11 7 18 19 18z" />
        <path d="M57 96c0-7-4-11-11-11 0 7 4 11 11 11zM95 92c0-7 4-11 11-11 0 7-4 11-11 11z" opacity=".8" />
      </g>
      <path
        d="M34 50c0-9 7-14 15-14h52c8 0 15 5 15 14v58a22 22 0 0 1-22 22H56a22 22 0 0 1-22-22z"
        fill="none"
        stroke="var(--accent)"
        strokeWidth="3"
      />
      <path d="M46 26h58" stroke="var(--accent)" strokeWidth="7" strokeLinecap="round" />
      <path d="M44 54v40" stroke="var(--surface)" strokeWidth="4" strokeLinecap="round" opacity=".7" />
    </svg>
  );
}
