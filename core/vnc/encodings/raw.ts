/** Raw encoding (RFC 6143 7.7.1). */
import type { RectEncoder } from './encoding.ts';

export const encodeRaw: RectEncoder = ({ values }, { translator, out }) => translator.putAll(out, values);
