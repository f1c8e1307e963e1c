/** Commands about drives and their media. */

import { UserError } from '../../util/errors.ts';
import type { JsonObject } from '../../util/json.ts';
import { command, type QmpCommand } from '../command.ts';
import type { BlockBackendInfo, BlockNodeInfo, BlockStatistics, DriveName } from '../context.ts';
import { any, bool, choice, list, NO_MEMBERS, object, optional, required, str } from '../schema.ts';

const DRIVE = { device: optional(str), id: optional(str) };
const READ_ONLY_MODE = choice('retain', 'read-only', 'read-write');
const NODE = object({
  file: required(str),
  drv: required(str),
  ro: required(bool),
  'node-name': optional(str),
  image: required(any),
});

export const BLOCK_COMMANDS: readonly QmpCommand[] = [
  command({
    name: 'query-block',
    arguments: NO_MEMBERS,
    returns: list(
      object({
        device: required(str),
        qdev: optional(str),
        type: required(str),
        removable: required(bool),
        locked: required(bool),
        inserted: optional(NODE),
        tray_open: optional(bool),
        'io-status': optional(choice('ok', 'failed', 'nospace')),
      }),
    ),
    run: ({ context }) => context.block.backends().map(describeBackend),
  }),
  command({
    name: 'query-blockstats',
    arguments: { 'query-nodes': optional(bool) },
    returns: list(
      object({ device: optional(str), qdev: optional(str), 'node-name': optional(str), stats: required(any) }),
    ),
    run: ({ context }) => context.block.statistics().map(describeStatistics),
  }),
  command({
    name: 'query-named-block-nodes',
    arguments: { flat: optional(bool) },
    returns: list(NODE),
    run: ({ context }) => context.block.nodes().map(describeNode),
  }),
  command({
    name: 'query-block-jobs',
    arguments: NO_MEMBERS,
    returns: list(any),
    run: () => [],
  }),
  command({
    name: 'eject',
    arguments: { ...DRIVE, force: optional(bool) },
    run: async ({ context }, { force = false, ...drive }) => {
      await context.block.eject(driveName(drive), force);
      return undefined;
    },
  }),
  command({
    name: 'blockdev-open-tray',
    arguments: { ...DRIVE, force: optional(bool) },
    run: async ({ context }, { force = false, ...drive }) => {
      await context.block.openTray(driveName(drive), force);
      return undefined;
    },
  }),
  command({
    name: 'blockdev-close-tray',
    arguments: DRIVE,
    run: async ({ context }, drive) => {
      await context.block.closeTray(driveName(drive));
      return undefined;
    },
  }),
  command({
    name: 'blockdev-remove-medium',
    arguments: { id: required(str) },
    run: async ({ context }, { id }) => {
      await context.block.removeMedium({ id });
      return undefined;
    },
  }),
  command({
    name: 'blockdev-change-medium',
    arguments: {
      ...DRIVE,
      filename: required(str),
      format: optional(str),
      force: optional(bool),
      'read-only-mode': optional(READ_ONLY_MODE),
    },
    run: async ({ context }, args) => {
      await context.block.changeMedium(driveName(args), {
        filename: args.filename,
        format: args.format,
        force: args.force ?? false,
        readOnlyMode: args['read-only-mode'] ?? 'retain',
      });
      return undefined;
    },
  }),
];

function driveName({ device, id }: { readonly device?: string; readonly id?: string }): DriveName {
  if (device !== undefined && id === undefined) return { device };
  if (id !== undefined && device === undefined) return { id };
  throw new UserError("Need exactly one of 'device' and 'id'");
}

function describeBackend(backend: BlockBackendInfo): JsonObject {
  return {
    ...(backend.ioStatus !== undefined && { 'io-status': backend.ioStatus }),
    device: backend.device,
    locked: backend.isLocked,
    removable: backend.isRemovable,
    ...(backend.inserted && { inserted: describeNode(backend.inserted) }),
    ...(backend.qdev !== undefined && { qdev: backend.qdev }),
    ...(backend.isTrayOpen !== undefined && { tray_open: backend.isTrayOpen }),
    type: 'unknown',
  };
}

function describeNode(node: BlockNodeInfo): JsonObject {
  const { writeback, direct, noFlush } = node.cache;
  return {
    iops_rd: 0,
    iops_wr: 0,
    iops: 0,
    bps_rd: 0,
    bps_wr: 0,
    bps: 0,
    detect_zeroes: node.detectZeroes,
    image: {
      'virtual-size': node.virtualSize,
      filename: node.file,
      format: node.driver,
      'actual-size': node.actualSize,
      'dirty-flag': false,
    },
    ro: node.isReadOnly,
    'node-name': node.nodeName,
    backing_file_depth: 0,
    drv: node.driver,
    write_threshold: 0,
    encrypted: false,
    cache: { 'no-flush': noFlush, direct, writeback },
    file: node.file,
  };
}

function describeStatistics(statistics: BlockStatistics): JsonObject {
  return {
    device: statistics.device,
    ...(statistics.qdev !== undefined && { qdev: statistics.qdev }),
    ...(statistics.nodeName !== undefined && { 'node-name': statistics.nodeName }),
    stats: {
      rd_bytes: statistics.readBytes,
      wr_bytes: statistics.writtenBytes,
      rd_operations: statistics.readOperations,
      wr_operations: statistics.writeOperations,
      flush_operations: statistics.flushOperations,
      rd_total_time_ns: statistics.readTimeNs,
      wr_total_time_ns: statistics.writeTimeNs,
      flush_total_time_ns: statistics.flushTimeNs,
      failed_rd_operations: statistics.failedReads,
      failed_wr_operations: statistics.failedWrites,
      failed_flush_operations: statistics.failedFlushes,
      invalid_rd_operations: 0,
      invalid_wr_operations: 0,
      invalid_flush_operations: 0,
      unmap_bytes: 0,
      unmap_operations: 0,
      unmap_total_time_ns: 0,
      failed_unmap_operations: 0,
      invalid_unmap_operations: 0,
      rd_merged: 0,
      wr_merged: 0,
      unmap_merged: 0,
      wr_highest_offset: 0,
      account_invalid: true,
      account_failed: true,
      timed_stats: [],
    },
  };
}
