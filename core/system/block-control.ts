/** Drives as monitors steer them: look, eject, change the medium. Sentences are QEMU's. */
import type { BlockBackend } from '../backends/block/block-backend.ts';
import type { BlockNode } from '../backends/block/node.ts';
import type { BlockControl, BlockNodeInfo, DriveName, MediumChange } from '../monitor/context.ts';
import { deviceNotFound } from '../monitor/errors.ts';
import { UserError } from '../util/errors.ts';
import type { BlockSystem } from './block-init.ts';

export function createBlockControl(block: BlockSystem): BlockControl {
  const backends = (): BlockBackend[] => block.backends;

  const find = (name: DriveName): BlockBackend => {
    if ('device' in name) {
      const found = backends().find((b) => b.id === name.device);
      if (!found) throw deviceNotFound(name.device);
      return found;
    }
    const found = backends().find((b) => b.device && (b.device.qdevId === name.id || b.device.qomPath === name.id));
    if (!found) throw deviceNotFound(name.id);
    return found;
  };
  const title = (name: DriveName): string => ('device' in name ? name.device : name.id);

  const nodeInfo = (backend: BlockBackend, node: BlockNode): BlockNodeInfo => ({
    nodeName: node.nodeName,
    file: node.source.filename,
    driver: node.format,
    isReadOnly: node.isReadonly,
    virtualSize: node.size,
    actualSize: node.source.allocatedBytes,
    cache: {
      writeback: !backend.isWriteThrough,
      direct: node.options.cache.direct,
      noFlush: node.options.cache.noFlush,
    },
    detectZeroes: node.options.detectZeroes,
  });

  const needRemovable = (backend: BlockBackend, name: DriveName): void => {
    if (!backend.isRemovable) throw new UserError(`Device '${title(name)}' is not removable`);
  };

  /** Opens the tray; a locked one only by force, else the guest is asked. */
  const openTray = async (name: DriveName, force: boolean): Promise<'open' | 'asked'> => {
    const backend = find(name);
    needRemovable(backend, name);
    if (!backend.device?.isTrayOpen || backend.isTrayOpen) return 'open';
    const isLocked = backend.isLocked;
    if (isLocked) backend.device.requestEject?.(force);
    if (isLocked && !force) return 'asked';
    await backend.drain();
    backend.changeMedium(false);
    return 'open';
  };

  const removeMedium = async (name: DriveName): Promise<void> => {
    const backend = find(name);
    needRemovable(backend, name);
    if (backend.device?.isTrayOpen && !backend.isTrayOpen)
      throw new UserError(`Tray of device '${title(name)}' is not open`);
    await backend.drain();
    backend.setNode(null);
  };

  const locked = (name: DriveName): UserError =>
    new UserError(`Device '${title(name)}' is locked and force was not specified, wait for tray to open and try again`);

  return {
    backends: () =>
      backends().map((b) => ({
        device: b.id,
        qdev: b.device ? b.device.qdevId || b.device.qomPath : undefined,
        isRemovable: b.isRemovable,
        isLocked: b.isLocked,
        isTrayOpen: b.device?.isTrayOpen ? b.isTrayOpen : undefined,
        ioStatus: b.isIoStatusEnabled ? b.ioStatus : undefined,
        inserted: b.node ? nodeInfo(b, b.node) : undefined,
      })),
    statistics: () =>
      backends().map((b) => ({
        device: b.id,
        qdev: b.device ? b.device.qdevId || b.device.qomPath : undefined,
        nodeName: b.node?.nodeName,
        readBytes: b.statistics.read.bytes,
        writtenBytes: b.statistics.write.bytes,
        readOperations: b.statistics.read.operations,
        writeOperations: b.statistics.write.operations,
        flushOperations: b.statistics.flush.operations,
        readTimeNs: b.statistics.read.totalNs,
        writeTimeNs: b.statistics.write.totalNs,
        flushTimeNs: b.statistics.flush.totalNs,
        failedReads: b.statistics.read.failed,
        failedWrites: b.statistics.write.failed,
        failedFlushes: b.statistics.flush.failed,
      })),
    nodes: () => backends().flatMap((b) => (b.node ? [nodeInfo(b, b.node)] : [])),
    async eject(name, force) {
      if ((await openTray(name, force)) === 'asked') throw locked(name);
      await removeMedium(name);
    },
    async openTray(name, force) {
      await openTray(name, force);
    },
    async closeTray(name) {
      const backend = find(name);
      needRemovable(backend, name);
      if (!backend.device?.isTrayOpen || !backend.isTrayOpen) return;
      backend.changeMedium(true);
    },
    removeMedium,
    async changeMedium(name, medium: MediumChange) {
      const backend = find(name);
      needRemovable(backend, name);
      const isReadonly = medium.readOnlyMode === 'retain' ? backend.isReadonly : medium.readOnlyMode === 'read-only';
      const opened = block.openMedium(backend, medium.filename, medium.format, isReadonly);
      if ((await openTray(name, medium.force)) === 'asked') {
        opened.close();
        throw locked(name);
      }
      await backend.drain();
      backend.setNode(opened);
      backend.changeMedium(true);
    },
  };
}
