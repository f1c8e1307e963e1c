import { describe, expect, it } from 'vitest';
import { NO_LOCATION } from './location.ts';
import { QemuOptsList } from './qemu-opts.ts';
import { parseRelease, SmbiosCollector } from './smbios-options.ts';

function collect(files: Readonly<Record<string, readonly number[]>>, ...options: readonly string[]) {
  const collector = new SmbiosCollector((path) =>
    Object.hasOwn(files, path) ? { bytes: Uint8Array.from(files[path]!) } : { error: 'No such file or directory' },
  );
  const list = new QemuOptsList({ name: 'smbios', desc: [] });
  const uuids = options.map((text) => collector.add(list.parse(text, { allowImplied: false, location: NO_LOCATION })));
  return { collector, uuids };
}
const fieldsOf = (type: number, ...options: readonly string[]) =>
  collect({}, ...options)
    .collector.fields.get(type)
    ?.map((fields) => Object.fromEntries(fields));

describe('-smbios', () => {
  it('keeps texts of earlier options of a type, not their numbers and switches', () => {
    expect(fieldsOf(4, 'type=4,serial=a,max-speed=5', 'type=4,serial=b,part=p')).toEqual([{ serial: 'b', part: 'p' }]);
    expect(fieldsOf(0, 'type=0,uefi=on,release=1.2', 'type=0,version=')).toEqual([{ release: '1.2', version: '' }]);
  });
  it('adds an entry for each connector and each onboard device', () => {
    expect(fieldsOf(8, 'type=8,port_type=9', 'type=8')).toEqual([{ port_type: '9' }, {}]);
    expect(fieldsOf(41, 'type=41,kind=sas', 'type=41,instance=2')).toEqual([{ kind: 'sas' }, { instance: '2' }]);
  });
  it('gives the UUID to the machine', () => {
    const { uuids } = collect({}, 'type=1,uuid=00112233-4455-6677-8899-AABBCCDDEEFF', 'type=1,serial=s');
    expect(uuids).toEqual(['00112233-4455-6677-8899-aabbccddeeff', undefined]);
  });
  it('collects OEM strings in order, from values and files', () => {
    const { collector } = collect({ f: [0x66, 0xff] }, 'type=11,value=é,path=f', 'type=11,value=');
    expect(collector.oemStrings.map((text) => [...text])).toEqual([[0xc3, 0xa9], [0x66, 0xff], []]);
  });
  it('takes a file as it is, unless it is shorter than a header', () => {
    expect(collect({ f: [1, 4, 0, 1] }, 'file=f').collector.files).toEqual([Uint8Array.of(1, 4, 0, 1)]);
    expect(() => collect({ f: [1, 4, 0] }, 'file=f')).toThrow('Cannot read SMBIOS file f');
  });
  it.each([
    ['3.7', [3, 7]],
    [' 1. 2rest', [1, 2]],
    ['-1.+2', [-1, 2]],
  ])('reads the release %j as C’s scanf does', (text, numbers) => expect(parseRelease(text)).toEqual(numbers));
  it.each(['', '7', '0x1.2', '1 .2', '.2'])('refuses the release %j', (text) =>
    expect(() => parseRelease(text)).toThrow('Invalid release'),
  );
});
