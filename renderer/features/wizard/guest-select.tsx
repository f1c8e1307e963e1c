/** The guest families, grouped. */
import type { ReactElement } from 'react';
import type { GuestFamily } from '../../../electron/api/contract.ts';
import { useSession } from '../../app/session.ts';
import { t } from '../../i18n/index.ts';
import { Icon } from '../../ui/icons.tsx';

export function GuestSelect({ value, onValue }: { value: string; onValue: (guest: string) => void }): ReactElement {
  const { info } = useSession();
  const groups = new Map<GuestFamily['group'], GuestFamily[]>();
  for (const family of info.guestFamilies) groups.set(family.group, [...(groups.get(family.group) ?? []), family]);
  return (
    <span className="select">
      <select
        value={value}
        onChange={(event) => onValue(event.target.value)}
        aria-label={t('field.guest')}
        data-testid="guest"
      >
        {[...groups].map(([group, families]) => (
          <optgroup key={group} label={t(`guestGroup.${group}`)}>
            {families.map((family) => (
              <option key={family.id} value={family.id}>
                {family.id === 'other' ? t('guest.other') : family.label}
              </option>
            ))}
          </optgroup>
        ))}
      </select>
      <Icon name="chevronDown" size={12} />
    </span>
  );
}
