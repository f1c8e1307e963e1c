/** Saves the screen as the engine sees it, not as it is scaled here. */
import type { MachineSummary } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';

export async function saveScreenshot({ id, name }: Pick<MachineSummary, 'id' | 'name'>): Promise<void> {
  const { pngBase64 } = await api().call('machines.screenshot', { id });
  const link = document.createElement('a');
  link.href = `data:image/png;base64,${pngBase64}`;
  link.download = screenshotName(name, new Date());
  link.click();
}

/** `Machine name 2026-11-20 14.05.09.png`: no character that a file system refuses. */
export function screenshotName(machine: string, at: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}.${two(at.getMinutes())}.${two(at.getSeconds())}`;
  return `${machine.replace(/[<>:"/\\|?*\p{Cc}]/gu, '_')} ${day} ${time}.png`;
}
