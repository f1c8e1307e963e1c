/** The dialog that is open, if any. */
import type { ReactElement } from 'react';
import { DeleteDialog } from '../features/library/delete-dialog.tsx';
import { PowerOffDialog } from '../features/library/power-off-dialog.tsx';
import { RenameDialog } from '../features/library/rename-dialog.tsx';
import { PreferencesDialog } from '../features/preferences/preferences-dialog.tsx';
import { SettingsDialog } from '../features/settings/settings-dialog.tsx';
import { FileDialog } from '../features/storage/file-dialog.tsx';
import { WizardDialog } from '../features/wizard/wizard-dialog.tsx';
import { t } from '../i18n/index.ts';
import { ConfirmDialog } from '../ui/dialog.tsx';
import { changeMedium } from './actions.ts';
import { useStore } from './session.ts';
import { closeOverlay, overlay } from './view.ts';

export function Overlays(): ReactElement | null {
  const now = useStore(overlay);
  switch (now?.kind) {
    case undefined:
      return null;
    case 'wizard':
      return <WizardDialog medium={now.medium} onClose={closeOverlay} />;
    case 'settings':
      return <SettingsDialog key={now.id} id={now.id} page={now.page} onClose={closeOverlay} />;
    case 'preferences':
      return <PreferencesDialog onClose={closeOverlay} />;
    case 'rename':
      return <RenameDialog machine={now.machine} onClose={closeOverlay} />;
    case 'delete':
      return <DeleteDialog machine={now.machine} onClose={closeOverlay} />;
    case 'powerOff':
      return <PowerOffDialog machine={now.machine} onClose={closeOverlay} />;
    case 'forceTray':
      return (
        <ConfirmDialog
          title={t('forceTray.title', { name: now.machine.name })}
          confirm={t('forceTray.confirm')}
          danger
          testId="force-tray"
          onClose={closeOverlay}
          onConfirm={() => {
            closeOverlay();
            void changeMedium(now.machine, now.deviceId, now.path, true);
          }}
        >
          <p>{t('forceTray.text')}</p>
        </ConfirmDialog>
      );
    case 'insertDisc':
      return (
        <FileDialog
          title={t('files.chooseIso')}
          filter="iso"
          startAt={now.currentPath}
          onClose={closeOverlay}
          onChoose={(path) => {
            closeOverlay();
            void changeMedium(now.machine, now.deviceId, path);
          }}
        />
      );
  }
}
