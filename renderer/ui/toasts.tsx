/** Short messages in the corner. Errors stay until closed and offer their details; the rest leave by themselves. */
import { type ReactElement, useSyncExternalStore } from 'react';
import { t } from '../i18n/index.ts';
import { copyText } from './clipboard.ts';
import { Button, IconButton } from './controls.tsx';
import { Icon } from './icons.tsx';
import { createStore } from './store.ts';

export interface Toast {
  id: number;
  tone: 'info' | 'ok' | 'danger';
  title: string;
  body?: string;
  /** What "Copy details" puts on the clipboard. */
  details?: string;
  /** What may be done about it; a message with an action stays until it is closed. */
  action?: { label: string; run: () => void };
}

const toasts = createStore<readonly Toast[]>([]);
let nextId = 1;

export function dismissToast(id: number): void {
  toasts.update((list) => list.filter((toast) => toast.id !== id));
}

/** Answers with the number that `dismissToast` takes. */
export function showToast(toast: Omit<Toast, 'id'>): number {
  const id = nextId++;
  toasts.update((list) => [...list.slice(-3), { ...toast, id }]);
  if (toast.tone !== 'danger' && !toast.action) setTimeout(() => dismissToast(id), 4500);
  return id;
}

const ICONS = { info: 'info', ok: 'ok', danger: 'error' } as const;

export function Toasts(): ReactElement {
  const list = useSyncExternalStore(toasts.subscribe, toasts.get);
  return (
    <div
      className="toasts"
      role="log"
      aria-live="polite"
      aria-label={t('common.notifications')}
      popover="manual"
      ref={raise(list.length)}
    >
      {list.map((toast) => (
        <div key={toast.id} className={`toast toast-${toast.tone}`} data-testid={`toast-${toast.tone}`}>
          <Icon name={ICONS[toast.tone]} />
          <div className="grow">
            <div className="toast-title">{toast.title}</div>
            {toast.body && <div className="toast-body selectable">{toast.body}</div>}
            {toast.action && (
              <Button
                size="sm"
                onClick={() => {
                  dismissToast(toast.id);
                  toast.action?.run();
                }}
                data-testid="toast-action"
              >
                {toast.action.label}
              </Button>
            )}
            {toast.details && (
              <Button size="sm" variant="ghost" icon="copy" onClick={() => copyText(toast.details ?? '')}>
                {t('common.copyDetails')}
              </Button>
            )}
          </div>
          <IconButton icon="close" label={t('common.dismiss')} onClick={() => dismissToast(toast.id)} />
        </div>
      ))}
    </div>
  );
}

/** Puts the stack above whatever dialog opened last: the top layer is ordered by time of entry. */
function raise(count: number) {
  return (element: HTMLDivElement | null) => {
    if (!element) return;
    if (element.matches(':popover-open')) element.hidePopover();
    if (count > 0) element.showPopover();
  };
}
