/** What holds for the whole app. Every choice takes effect at once; there is nothing to save. */
import type { ReactElement } from 'react';
import type { Settings } from '../../../electron/api/contract.ts';
import { attempt } from '../../app/actions.ts';
import { updateSettings, useSession } from '../../app/session.ts';
import { formatMiB } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Button, Checkbox, Field, Segmented, Select } from '../../ui/controls.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Mark } from '../../ui/icons.tsx';
import { HOST_KEYS } from '../console/keys.ts';

export function PreferencesDialog({ onClose }: { onClose: () => void }): ReactElement {
  const { settings, info } = useSession();
  const set = (change: Partial<Settings>) => void attempt(t('failed.settings'), () => updateSettings(change));
  const hostKeys: { value: string; label: string }[] = Object.entries(HOST_KEYS).map(([value, label]) => ({
    value,
    label,
  }));
  if (!hostKeys.some((key) => key.value === settings.hostKey))
    hostKeys.unshift({ value: settings.hostKey, label: settings.hostKey });
  return (
    <Dialog
      title={t('preferences.title')}
      width={540}
      onClose={onClose}
      testId="preferences"
      footer={
        <Button variant="primary" onClick={onClose} data-testid="preferences-done">
          {t('common.done')}
        </Button>
      }
    >
      <div className="form">
        <div className="form-pair">
          <Field label={t('preferences.language')}>
            <Select
              value={settings.language}
              options={[
                { value: 'system', label: t('preferences.system') },
                { value: 'en', label: 'English' },
                { value: 'zh-CN', label: '简体中文' },
              ]}
              onValue={(language) => set({ language })}
              data-testid="language"
            />
          </Field>
          <div className="field">
            <div className="field-label">
              <span>{t('preferences.theme')}</span>
            </div>
            <Segmented
              label={t('preferences.theme')}
              value={settings.theme}
              options={[
                { value: 'system', label: t('preferences.system') },
                { value: 'light', label: t('preferences.light'), icon: 'sun' },
                { value: 'dark', label: t('preferences.dark'), icon: 'moon' },
              ]}
              onValue={(theme) => set({ theme })}
              testId="theme"
            />
          </div>
        </div>
        <div className="form-pair">
          <Field label={t('preferences.hostKey')} hint={t('preferences.hostKeyHint')}>
            <Select value={settings.hostKey} options={hostKeys} onValue={(hostKey) => set({ hostKey })} />
          </Field>
          <Field label={t('preferences.onQuit')} hint={t('preferences.onQuitHint')}>
            <Select
              value={settings.onQuit}
              options={[
                { value: 'shutdown', label: t('preferences.quit.shutdown') },
                { value: 'powerOff', label: t('preferences.quit.powerOff') },
                { value: 'keep', label: t('preferences.quit.keep') },
              ]}
              onValue={(onQuit) => set({ onQuit })}
            />
          </Field>
        </div>
        <Checkbox
          checked={settings.thumbnails}
          onValue={(thumbnails) => set({ thumbnails })}
          hint={t('preferences.thumbnailsHint')}
        >
          {t('preferences.thumbnails')}
        </Checkbox>
        <dl className="entries about selectable">
          <dt className="about-title">
            <Mark size={22} /> Terrarium
          </dt>
          <dd className="num">{info.version}</dd>
          <dt>{t('preferences.engine')}</dt>
          <dd className="mono">{info.engine.path}</dd>
          <dt>{t('preferences.data')}</dt>
          <dd className="mono">{info.dataDir}</dd>
          <dt>{t('preferences.host')}</dt>
          <dd>{t('preferences.hostText', { cpus: info.limits.cpuCount, memory: formatMiB(info.limits.memoryMiB) })}</dd>
        </dl>
      </div>
    </Dialog>
  );
}
