/** Every word of the query must occur in one of the texts; case and accents do not count. */
export function matches(query: string, texts: readonly string[]): boolean {
  const haystack = fold(texts.join('\n'));
  return fold(query)
    .split(/\s+/)
    .every((word) => haystack.includes(word));
}

function fold(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}
