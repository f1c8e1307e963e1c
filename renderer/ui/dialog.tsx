/** Modal dialogs on the native element: focus trap, inert background, Esc and focus return come from the browser. */
import { type ReactElement, type ReactNode, useId, useLayoutEffect, useRef, useState } from 'react';
import { t } from '../i18n/index.ts';
import { Button, IconButton } from './controls.tsx';

/** `onClose` is called for Esc and the close button; `dismissable: false` leaves closing to the footer. */
export function Dialog({
  title,
  subtitle,
  icon,
  width = 480,
  height,
  onClose,
  footer,
  children,
  dismissable = true,
  testId,
  flush,
}: {
  title: ReactNode;
  subtitle?: ReactNode;
  icon?: ReactNode;
  width?: number;
  height?: number | string;
  onClose: () => void;
  footer?: ReactNode;
  children: ReactNode;
  dismissable?: boolean;
  testId?: string;
  flush?: boolean;
}): ReactElement {
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  // A layout effect: its end comes before the element leaves the page, so that the browser can give the focus back.
  useLayoutEffect(() => {
    const dialog = ref.current!;
    if (!dialog.open) dialog.showModal();
    const preferred = dialog.querySelector<HTMLElement>('[data-autofocus]');
    preferred?.focus();
    if (preferred instanceof HTMLInputElement) preferred.select();
    return () => dialog.close();
  }, []);
  return (
    <dialog
      ref={ref}
      className="dialog"
      aria-labelledby={titleId}
      data-testid={testId}
      style={{ width, height }}
      onCancel={(event) => {
        if (event.target !== ref.current) return;
        event.preventDefault();
        if (dismissable) onClose();
      }}
      onKeyDown={(event) => event.stopPropagation()}
    >
      <header className="dialog-head">
        {icon}
        <div className="grow">
          <h2 id={titleId} className="truncate">
            {title}
          </h2>
          {subtitle && <div className="muted small truncate">{subtitle}</div>}
        </div>
        {dismissable && (
          <IconButton icon="close" label={t('common.close')} onClick={onClose} data-testid="dialog-close" />
        )}
      </header>
      <div className={`dialog-body ${flush ? 'dialog-flush' : ''}`}>{children}</div>
      {footer && <footer className="dialog-foot">{footer}</footer>}
    </dialog>
  );
}

/** Asks before something that loses data; says what is lost; the safe choice has the focus. */
export function ConfirmDialog({
  title,
  children,
  confirm,
  danger,
  onConfirm,
  onClose,
  testId,
}: {
  title: string;
  children: ReactNode;
  confirm: string;
  danger?: boolean;
  onConfirm: () => Promise<void> | void;
  onClose: () => void;
  testId?: string;
}): ReactElement {
  const [busy, setBusy] = useState(false);
  return (
    <Dialog
      title={title}
      onClose={onClose}
      testId={testId}
      width={460}
      footer={
        <>
          <Button onClick={onClose} data-autofocus>
            {t('common.cancel')}
          </Button>
          <Button
            variant={danger ? 'danger' : 'primary'}
            busy={busy}
            data-testid="confirm"
            onClick={async () => {
              setBusy(true);
              try {
                await onConfirm();
              } finally {
                setBusy(false);
              }
            }}
          >
            {confirm}
          </Button>
        </>
      }
    >
      {children}
    </Dialog>
  );
}
