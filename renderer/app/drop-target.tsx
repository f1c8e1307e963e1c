/** A disc or disk image dropped anywhere on the window starts the wizard with it. */
import { type DragEvent, type ReactElement, type ReactNode, useRef, useState } from 'react';
import { t } from '../i18n/index.ts';
import { Icon } from '../ui/icons.tsx';
import { useSession } from './session.ts';
import { open, overlay } from './view.ts';

const hasFiles = (event: DragEvent) => event.dataTransfer.types.includes('Files');

export function DropTarget({ children }: { children: ReactNode }): ReactElement {
  const { info } = useSession();
  const [over, setOver] = useState(false);
  const depth = useRef(0);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is a pointer's way; the wizard's file field is the keyboard's
    <div
      className="drop-root"
      onDragEnter={(event) => {
        if (!hasFiles(event) || overlay.get()) return;
        depth.current++;
        setOver(true);
      }}
      onDragLeave={() => {
        depth.current = Math.max(0, depth.current - 1);
        if (depth.current === 0) setOver(false);
      }}
      onDragOver={(event) => {
        if (hasFiles(event)) event.preventDefault();
      }}
      onDrop={(event) => {
        event.preventDefault();
        depth.current = 0;
        setOver(false);
        const file = event.dataTransfer.files[0];
        if (!file || overlay.get()) return;
        const path = info.capabilities.upload ? '' : (window.terrarium?.pathForFile(file) ?? '');
        open({ kind: 'wizard', medium: path ? { path } : { file } });
      }}
    >
      {children}
      {over && (
        <div className="drop-veil" aria-hidden="true">
          <div className="drop-card">
            <Icon name="disc" size={40} />
            <strong>{t('drop.title')}</strong>
            <span className="muted">{t('drop.hint')}</span>
          </div>
        </div>
      )}
    </div>
  );
}
