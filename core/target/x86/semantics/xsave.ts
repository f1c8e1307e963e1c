/** XSAVE and what belongs to it (Intel SDM volume 1, chapter 13): the work is a helper's. */
import { instruction } from './ops.ts';

const image = (name: string, encoding: string) =>
  instruction({
    name,
    encodings: [encoding],
    dst: 'rw',
    addressOnly: true,
    variants: ['opSize'],
    semantics: (o, at, place) => void o.call(name, place.load(), at.address(), o.const(o.form.opSize / 8)),
  });

export const XSAVE = [
  image('xsave', 'np 0f ae /4 Mb,Lb'),
  image('xrstor', 'np 0f ae /5 Mb,Lb'),
  image('xsaveopt', 'np 0f ae /6 Mb,Lb'),
  instruction({ name: 'xgetbv', encodings: ['np 0f 01 d0'], semantics: (o) => void o.call('xgetbv') }),
  instruction({ name: 'xsetbv', encodings: ['np 0f 01 d1'], ends: 'system', semantics: (o) => void o.call('xsetbv') }),
];
