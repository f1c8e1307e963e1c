/** How installation media give themselves away: volume name, files, the text of `.disk/info`. First match wins. */
export interface GuestSignature {
  guest: string;
  /** Matches the volume's name. */
  label?: RegExp;
  /** All of these are on the disc. */
  files?: string[];
  /** A file whose text must match. */
  text?: { file: string; pattern: RegExp };
  /** Proposed name, when the volume's own name is none to show. */
  name?: string;
}

export const GUEST_SIGNATURES: readonly GuestSignature[] = [
  { guest: 'ubuntu', text: { file: '.disk/info', pattern: /ubuntu/i } },
  { guest: 'debian', text: { file: '.disk/info', pattern: /debian/i } },
  { guest: 'ubuntu', label: /^[kxl]?ubuntu/i },
  { guest: 'debian', label: /^debian/i },
  { guest: 'arch', label: /^arch_\d{6}/i, name: 'Arch Linux' },
  { guest: 'fedora', label: /^fedora/i },
  { guest: 'alpine', label: /^alpine/i },
  { guest: 'alpine', files: ['.alpine-release'], name: 'Alpine Linux' },
  { guest: 'tinycore', files: ['boot/core.gz'], name: 'Tiny Core Linux' },
  { guest: 'tinycore', label: /^tinycore|^coreplus/i, name: 'Tiny Core Linux' },
  { guest: 'openbsd', label: /^openbsd/i },
  { guest: 'netbsd', label: /^netbsd/i },
  { guest: 'freebsd', label: /^(freebsd|\d+_\d+_release)/i, name: 'FreeBSD' },
  { guest: 'freebsd', files: ['boot/kernel/kernel', 'boot/loader.efi'], name: 'FreeBSD' },
  { guest: 'haiku', label: /^haiku/i },
  { guest: 'reactos', label: /^reactos/i },
  { guest: 'reactos', files: ['reactos/reactos.inf'], name: 'ReactOS' },
  { guest: 'memtest', label: /^mt86plus|^memtest/i, name: 'Memtest86+' },
  { guest: 'memtest', files: ['boot/memtest.img'], name: 'Memtest86+' },
  { guest: 'freedos', label: /^fd\d\d|^freedos/i, name: 'FreeDOS' },
  { guest: 'freedos', files: ['freedos'], name: 'FreeDOS' },
  { guest: 'windows-10', label: /^(ccc|cpba|cena|csla|jm1|jm2|sss|d[vb]5|es[de])_?\w*_?x(64|86)/i, name: 'Windows' },
  { guest: 'windows-10', files: ['sources/install.esd'], name: 'Windows' },
  { guest: 'windows-7', label: /^g(rm|sp)\w+/i, name: 'Windows 7' },
  { guest: 'windows-7', files: ['sources/install.wim', 'bootmgr'], name: 'Windows' },
  { guest: 'windows-nt', files: ['i386/txtsetup.sif'], name: 'Windows' },
  { guest: 'windows-nt', label: /^(wxp|gr[tm]mp|win(nt|2000|xp))/i, name: 'Windows' },
  { guest: 'windows-9x', files: ['win98'], name: 'Windows 98' },
  { guest: 'windows-9x', files: ['win9x'], name: 'Windows ME' },
  { guest: 'windows-9x', files: ['win95'], name: 'Windows 95' },
  { guest: 'linux-64', files: ['isolinux', 'efi'] },
  { guest: 'linux-32', files: ['isolinux'] },
  { guest: 'boot-tool', files: ['boot/grub/i386-pc'], name: 'GRUB' },
];
