/** Says what a file that somebody wants in a drive is: a disc image (of which system?), a disk image, or neither. */
import { open, stat } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { AppError, fileError } from '../api/app-error.ts';
import type { MediumInspection } from '../api/contract.ts';
import { guestFamily } from '../api/guest-families.ts';
import { GUEST_SIGNATURES, type GuestSignature } from './guest-signatures.ts';
import { Iso9660, IsoFormatError } from './iso9660.ts';

/** Throws an `AppError` for a file that is missing, not readable, a folder or empty. */
export async function inspectMedium(path: string): Promise<MediumInspection> {
  const sizeBytes = await readableFileSize(path);
  const fileName = basename(path);
  const result: MediumInspection = {
    path,
    kind: 'unknown',
    sizeBytes,
    label: null,
    bootable: { bios: false, efi: false },
    guest: 'other',
    evidence: [],
    bits: null,
    suggestedName: titleOf(fileName),
    warnings: [],
  };
  const file = await open(path, 'r').catch((error) => {
    throw fileError('Reading', path, error);
  });
  try {
    const iso = await Iso9660.open(file);
    result.kind = 'iso';
    result.label = iso.volume.label || null;
    result.bootable = iso.volume.boot;
    if (iso.volume.volumeBytes > sizeBytes) {
      result.warnings.push('The file is shorter than the disc that it describes: the download may be incomplete.');
    }
    await guess(iso, result);
    if (!result.bootable.bios) {
      const other = result.bootable.efi ? 'It starts on EFI firmware only' : 'It has no boot catalog';
      result.warnings.push(`${other}: a BIOS machine cannot start from it.`);
    }
  } catch (error) {
    if (!(error instanceof IsoFormatError)) throw fileError('Reading', path, error);
    const looksLikeDisk = sizeBytes % 512 === 0 && extname(path).toLowerCase() !== '.iso';
    result.kind = looksLikeDisk ? 'disk' : 'unknown';
    if (!looksLikeDisk) result.warnings.push(`This is not a disc image: ${error.message}.`);
  } finally {
    await file.close();
  }
  result.bits ??= result.guest === 'other' ? null : guestFamily(result.guest).bits;
  return result;
}

/** The size of a file that can be read, or an `AppError` that says why not. */
export async function readableFileSize(path: string): Promise<number> {
  try {
    const info = await stat(path);
    if (info.isDirectory()) throw new AppError('invalid', `${path} is a folder, not a file.`);
    if (!info.isFile() && !info.isBlockDevice()) throw new AppError('invalid', `${path} is not a file.`);
    if (info.isFile() && info.size === 0) throw new AppError('invalid', `${path} is empty.`);
    const file = await open(path, 'r');
    await file.close();
    return info.size;
  } catch (error) {
    throw fileError('Reading', path, error);
  }
}

async function guess(iso: Iso9660, result: MediumInspection): Promise<void> {
  const { label } = iso.volume;
  const info = (await iso.readText('.disk/info'))?.split('\n')[0]?.trim();
  for (const signature of GUEST_SIGNATURES) {
    const evidence = await matches(iso, signature);
    if (!evidence) continue;
    result.guest = signature.guest;
    result.evidence.push(evidence);
    const named = signature.name ?? (label ? titleOf(label) : undefined);
    result.suggestedName = (info && shortInfo(info)) || named || result.suggestedName;
    break;
  }
  const bits = bitsIn(`${info ?? ''} ${label} ${basename(result.path)}`);
  if (bits) {
    result.bits = bits;
    if (result.guest === 'linux-32' && bits === 64) result.guest = 'linux-64';
    if (result.guest === 'linux-64' && bits === 32) result.guest = 'linux-32';
  }
}

async function matches(iso: Iso9660, signature: GuestSignature): Promise<string | undefined> {
  if (signature.label) {
    if (!signature.label.test(iso.volume.label)) return undefined;
    return `volume name "${iso.volume.label}"`;
  }
  if (signature.text) {
    const text = await iso.readText(signature.text.file);
    return text && signature.text.pattern.test(text) ? `${signature.text.file}: ${text.split('\n')[0]}` : undefined;
  }
  for (const file of signature.files ?? []) if (!(await iso.find(file))) return undefined;
  return signature.files && `files ${signature.files.join(', ')}`;
}

/** `Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST …` -> `Debian GNU/Linux 12.5.0`. */
function shortInfo(info: string): string {
  return info.split(/["-]/)[0]!.replace(/\s+/g, ' ').trim().slice(0, 80);
}

function bitsIn(text: string): 32 | 64 | undefined {
  if (/amd64|x86[_-]64|x64/i.test(text)) return 64;
  if (/i[3-6]86|x86|32.?bit/i.test(text)) return 32;
  return undefined;
}

/** `grub-rescue-cdrom.iso` -> `grub rescue cdrom`, with a capital. */
function titleOf(name: string): string {
  const words = name
    .replace(/\.(iso|img|raw|bin)$/i, '')
    .replace(/[_-]+/g, ' ')
    .trim();
  return (words.charAt(0).toUpperCase() + words.slice(1)).slice(0, 80) || 'Machine';
}
