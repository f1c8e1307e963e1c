/** `-dump-vmstate`: the saved form of every device type as JSON, in QEMU's layout. The size of a structure is that of its fields in the stream. */
import type { StateDescription } from './fields.ts';

interface DumpedField {
  readonly field: string;
  readonly version_id: number;
  readonly field_exists: boolean;
  readonly size: number;
  readonly Description?: DumpedDescription;
}
export interface DumpedDescription {
  readonly name: string;
  readonly version_id: number;
  readonly minimum_version_id: number;
  readonly Fields?: readonly DumpedField[];
  readonly Subsections?: readonly DumpedDescription[];
}

function streamSize(description: StateDescription): number {
  return Object.values(description.fields).reduce(
    (sum, field) => sum + (field.nested ? streamSize(field.nested) : field.size) * (field.count ?? 1),
    0,
  );
}

export function dumpDescription(description: StateDescription): DumpedDescription {
  const fields = Object.entries(description.fields).map(([key, field]) => ({
    field: field.fieldName ?? key,
    version_id: field.sinceVersion ?? 0,
    field_exists: false,
    size: field.nested ? streamSize(field.nested) : field.size,
    ...(field.nested ? { Description: dumpDescription(field.nested) } : {}),
  }));
  return {
    name: description.name,
    version_id: description.version,
    minimum_version_id: description.minimumVersion,
    ...(fields.length > 0 ? { Fields: fields } : {}),
    ...(description.subsections.length > 0
      ? { Subsections: description.subsections.map((part) => dumpDescription(part.description)) }
      : {}),
  };
}

/** @param types device type and its description, in any order */
export function dumpVmstate(
  machine: string,
  types: readonly (readonly [typeName: string, description: StateDescription])[],
): string {
  const dump: Record<string, unknown> = { vmschkmachine: { Name: machine } };
  for (const [typeName, description] of types.toSorted(([a], [b]) => (a < b ? -1 : 1)))
    dump[typeName] = {
      Name: typeName,
      version_id: description.version,
      minimum_version_id: description.minimumVersion,
      Description: dumpDescription(description),
    };
  return `${JSON.stringify(dump, null, 2)}\n`;
}
