import { describe, expect, it } from 'vitest';
import { en } from './en.ts';
import { formatBytes, formatDuration } from './format.ts';
import { systemLanguage, t } from './index.ts';
import { zhCN } from './zh-cn.ts';

const placeholders = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

describe('the catalogues', () => {
  it('say the same with the same placeholders', () => {
    const keys = Object.keys(en) as (keyof typeof en)[];
    const differing = keys.filter(
      (key) => placeholders(zhCN[key]).join() !== placeholders(en[key]).join() || !zhCN[key].trim(),
    );
    expect(differing).toEqual([]);
  });

  it('have no key that the other has not', () => {
    expect(Object.keys(zhCN).sort()).toEqual(Object.keys(en).sort());
  });
});

describe('messages', () => {
  it('fill in their placeholders and nothing else', () => {
    expect(t('delete.title', { name: '{size} $& x' })).toBe('Delete “{size} $& x”?');
    expect(t('common.save')).toBe('Save');
  });

  it('follow the first language of the system that there is', () => {
    expect(systemLanguage(['de-DE', 'zh-TW', 'en'])).toBe('zh-CN');
    expect(systemLanguage(['en-GB', 'zh'])).toBe('en');
    expect(systemLanguage(['fr'])).toBe('en');
  });
});

describe('formats', () => {
  it('sizes in binary steps', () => {
    expect([0, 512, 1536, 1024 ** 3, 20.5 * 1024 ** 3, 150 * 1024 ** 2].map(formatBytes)).toEqual([
      '0 B',
      '512 B',
      '1.5 KiB',
      '1 GiB',
      '20.5 GiB',
      '150 MiB',
    ]);
  });

  it('durations as a clock shows them', () => {
    expect([0, 61_000, 3_661_000, -5].map(formatDuration)).toEqual(['0:00', '1:01', '1:01:01', '0:00']);
  });
});
