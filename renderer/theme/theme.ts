/** Light or dark: the system's, unless the user wants one of them. */
type Choice = 'system' | 'light' | 'dark';

const dark = matchMedia('(prefers-color-scheme: dark)');
let choice: Choice = (localStorage.getItem('terrarium.theme') as Choice | null) ?? 'system';

function show(): void {
  const theme = choice === 'system' ? (dark.matches ? 'dark' : 'light') : choice;
  document.documentElement.dataset.theme = theme;
  for (const listener of listeners) listener();
}

const listeners = new Set<() => void>();

/** Called after each change, for what is drawn outside CSS (terminals). */
export function onThemeChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Remembered in this browser too, so that the next start paints its first frame right. */
export function applyTheme(next: Choice): void {
  choice = next;
  localStorage.setItem('terrarium.theme', next);
  show();
}

export function followSystemTheme(): void {
  dark.addEventListener('change', show);
  show();
}
