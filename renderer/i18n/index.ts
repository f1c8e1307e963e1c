/** The app's words. English is the source of the keys; every other catalogue must have exactly those keys to compile. */
import { useSyncExternalStore } from 'react';
import { createStore } from '../ui/store.ts';
import { en } from './en.ts';
import { zhCN } from './zh-cn.ts';

export type MessageKey = keyof typeof en;
export type Catalogue = Record<MessageKey, string>;
export type Language = 'en' | 'zh-CN';

type Placeholders<S extends string> = S extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Placeholders<Rest>
  : never;
type Arguments<K extends MessageKey> = [Placeholders<(typeof en)[K]>] extends [never]
  ? []
  : [values: Record<Placeholders<(typeof en)[K]>, string | number>];

const CATALOGUES: Record<Language, Catalogue> = { en, 'zh-CN': zhCN };
const language = createStore<Language>('en');

/** The message in the language shown now, its `{placeholders}` filled in. */
export function t<K extends MessageKey>(key: K, ...[values]: Arguments<K>): string {
  const text: string = CATALOGUES[language.get()][key];
  if (!values) return text;
  const named = values as Record<string, string | number>;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(named[name] ?? whole));
}

/** What `system` means for a browser's list of languages. */
export function systemLanguage(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const lower = tag.toLowerCase();
    if (lower.startsWith('zh')) return 'zh-CN';
    if (lower.startsWith('en')) return 'en';
  }
  return 'en';
}

export function setLanguage(choice: 'system' | Language): void {
  const next = choice === 'system' ? systemLanguage(navigator.languages) : choice;
  language.set(next);
  document.documentElement.lang = next;
}

export function currentLanguage(): Language {
  return language.get();
}

/** Subscribes the component to the language: the root does, and everything below it renders again. */
export function useLanguage(): Language {
  return useSyncExternalStore(language.subscribe, language.get);
}
