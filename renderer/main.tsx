/** Entry of the page: styles, theme before the first paint, then the app. */
import './theme/tokens.css';
import './theme/base.css';
import './theme/ui.css';
import './theme/app.css';
import '@xterm/xterm/css/xterm.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { setClient } from './api/index.ts';
import { App } from './app/app.tsx';
import { openSession } from './app/session.ts';
import { setLanguage } from './i18n/index.ts';
import { followSystemTheme } from './theme/theme.ts';

async function begin(): Promise<void> {
  followSystemTheme();
  setLanguage('system');
  if (import.meta.env.DEV && new URLSearchParams(location.search).has('fake')) {
    const { FakeClient } = await import('./dev/fake-client.ts');
    setClient(new FakeClient());
  } else if (location.search.includes('token=')) {
    // The shell has turned the token into a cookie; it does not belong into history or a screenshot.
    history.replaceState(null, '', location.pathname);
  }
  openSession();
  createRoot(document.getElementById('root')!).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}

void begin();
