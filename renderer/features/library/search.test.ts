import { describe, expect, it } from 'vitest';
import { matches } from './search.ts';

describe('search', () => {
  it('wants every word, in any of the texts, without case and accents', () => {
    const texts = ['Débian Server', 'Linux (64-bit)', 'Running'];
    for (const query of ['', ' ', 'debian', 'RUN deb', '64-bit server']) expect(matches(query, texts)).toBe(true);
    for (const query of ['debian off', 'windows']) expect(matches(query, texts)).toBe(false);
  });
});
